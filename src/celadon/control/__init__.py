"""The loop: observe, judge, decide, place, record, apply."""
