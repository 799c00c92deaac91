# SPDX-License-Identifier: MIT
"""What the tests of --page stand on: its feed, spoken by a program (feed.py), and a browser that looks at it (browser.py)."""
