# SPDX-License-Identifier: MIT
"""How the tests come by captures: made between real kernels in network namespaces, or put together by hand."""
