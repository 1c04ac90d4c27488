"""Instantly, API v2: lead lists of one workspace. No versions, no news of changes."""
