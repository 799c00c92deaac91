# SPDX-License-Identifier: MIT
"""Captures of what real kernels do to each other: each scenario brings one thing about, by force and not by chance.

A scenario on a Wire is seen at both its ends: NAME is the capture at the client, NAME@b the one at the server. What is
known of each before anyone looks at the capture stands in its row: the states of both ends, how it opened and ended.
"""

# Each of these puts its scenarios into the table.
from captures import lives, losses, packets  # noqa: F401  pylint: disable=unused-import
from captures.lives import HOSTILE  # noqa: F401  pylint: disable=unused-import
from captures.playing import PORT, SCENARIOS, make  # noqa: F401  pylint: disable=unused-import
