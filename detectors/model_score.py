"""What a trained model says of a person's hour and day, as a case like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from detectors.base import HIGH, LOW, MEDIUM, Detector, Finding, Normal, Touch

HOUR = 3_600_000
#: Features of a model in words; what is not here is shown by its name.
WORDS = {
    "parcels": ("parcels opened", "bưu gửi đã mở"),
    "first": ("parcels new to the person", "bưu gửi lần đầu tiếp cận"),
    "first_others": ("new parcels that others had handled", "bưu gửi mới do người khác xử lý"),
    "first_nobody": ("new parcels that nobody had handled", "bưu gửi mới chưa ai xử lý"),
    "records": ("records returned", "bản ghi trả về"),
    "export_rows": ("rows exported", "dòng đã xuất"),
    "exports": ("exports", "lần xuất dữ liệu"),
    "searches": ("searches", "lần tìm kiếm"),
    "reveals": ("reveals", "lần hiện dữ liệu"),
    "failed": ("accesses that found nothing", "lần truy cập không có kết quả"),
    "unexplained_share": ("share without a reason", "tỷ lệ không có lý do"),
    "unexplained": ("parcels without a reason", "bưu gửi không có lý do"),
    "long_idle": ("parcels long untouched", "bưu gửi lâu không ai đụng tới"),
    "long_closed": ("parcels long delivered", "bưu gửi đã phát từ lâu"),
    "devices": ("devices", "thiết bị"),
    "places": ("networks", "mạng truy cập"),
    "odd_hours": ("activity at unusual hours", "hoạt động ngoài giờ thường lệ"),
    "active_hours": ("hours worked", "giờ làm việc"),
    "first_above_own": ("times the usual number of new parcels", "lần mức bưu gửi mới thường lệ"),
    "records_above_own": ("times the usual number of records", "lần mức bản ghi thường lệ"),
}

Why = tuple[str, float, float, float]


class State(msgspec.Struct, array_like=True):
    """The last word of a model on one person.

    Attributes:
        model: SHA-256. at: end (ms) of the hour. day: its local day.
        surprise: of that hour or day. best: the day's highest so far.
        why: (feature, contribution, value, usual), strongest first.
    """

    model: str = ""
    at: int = 0
    day: int = 0
    surprise: float = 0.0
    best: float = 0.0
    why: list[Why] = []


@dataclass(frozen=True)
class ModelScore(Detector[State]):
    """A promoted model's surprise at a person's hour, or at his day so far, whichever is greater.

    Called when an hour of order time ends, never with a touch. From `note` on the surprise gives points of risk, from
    `limit` on it is a case of its own.

    Known gaps: speaks at the end of the hour, and only of people with a promoted model.

    Parameters:
        note: surprise, −log10 of the tail probability in training, from which it weighs.
        limit: surprise from which it is a case.
    """

    name: ClassVar[str] = "model"
    summary: ClassVar[str] = "A trained model finds the person's hour or day highly unusual"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 12 * 3600

    note: float = 3.0
    limit: float = 5.0

    def hear(
        self, state: State, model: str, at: int, day: int, surprise: float, why: list[Why], normal: Normal
    ) -> tuple[float, float]:
        """Take in a surprise; the size of the case (0 for none) and the points of risk it adds."""
        if day != state.day:
            state.day, state.best = day, 0.0
        more = min(surprise, self.limit) - max(state.best, self.note - 1)
        state.best = max(state.best, surprise)
        state.model, state.at, state.surprise, state.why = model, at, surprise, why
        points = more if surprise >= self.note and more > 0 else 0.0
        return (surprise if surprise >= self.limit * normal.strictness else 0.0), points

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        return 0.0

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        surprise = state.surprise
        named = [(WORDS.get(name, (name, name)), value, usual) for name, _, value, usual in state.why]
        odds = f"{10 ** min(surprise, 12):,.0f}"
        en = "; ".join(f"{value:,.1f} {words[0]} (usually {usual:,.1f})" for words, value, usual in named)
        vi = "; ".join(f"{value:,.1f} {words[1]} (thường {usual:,.1f})" for words, value, usual in named)
        return Finding(
            severity=HIGH if surprise >= 8 else MEDIUM if surprise >= 6 else LOW,
            score=surprise,
            confidence=2,
            evidence=surprise,
            window=86_400,
            since=state.at - HOUR,
            measures={
                "surprise": round(surprise, 2),
                **{name: round(value, 2) for name, _, value, _ in state.why},
            },
            baseline={"limit": self.limit, **{name: round(usual, 2) for name, _, _, usual in state.why}},
            en=(
                f"Model {state.model[:12]} finds this person's day as rare as one in {odds}: {en}. "
                "No single rule was broken by itself."
            ),
            vi=(
                f"Mô hình {state.model[:12]} đánh giá ngày làm việc này hiếm gặp ở mức 1 trên {odds}: {vi}. "
                "Không có quy tắc riêng lẻ nào bị vi phạm."
            ),
        )
