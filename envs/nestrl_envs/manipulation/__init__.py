"""Handling tasks: what the gripper or the base does to things."""
