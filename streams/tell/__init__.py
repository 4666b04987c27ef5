"""tell: every alert to every receiver, each at its own pace."""
