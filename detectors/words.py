"""Phrases findings share, in English and Vietnamese."""

from __future__ import annotations


def against_usual(own: float | None, peers: float | None) -> tuple[str, str]:
    """What the person and the peers reach on their busiest days; None where there is no history yet.

    >>> against_usual(12, None)[0]
    "on this person's busiest days it was 12, and peers have no history yet"
    >>> against_usual(None, 1530.4)[1]
    'người này chưa có lịch sử, còn đồng nghiệp không quá 1,530'
    """
    own_en = (
        "this person has no history yet"
        if own is None
        else f"on this person's busiest days it was {own:,.0f}"
    )
    own_vi = (
        "người này chưa có lịch sử" if own is None else f"những ngày bận nhất của người này chỉ là {own:,.0f}"
    )
    peers_en = "peers have no history yet" if peers is None else f"peers stay within {peers:,.0f}"
    peers_vi = "đồng nghiệp chưa có lịch sử" if peers is None else f"đồng nghiệp không quá {peers:,.0f}"
    return f"{own_en}, and {peers_en}", f"{own_vi}, còn {peers_vi}"
