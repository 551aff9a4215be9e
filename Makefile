# The verbs of ./dev, for those with the habit: make test FAST=1
.PHONY: venv demo test lint bench soak fuzz lock help
help venv demo test lint bench soak fuzz lock:
	@./dev $@
