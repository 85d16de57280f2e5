"""The memory in which Arrow reads and writes files.

The default pool of pyarrow asks for pages of 2 MiB, which the kernel has to find and to fill with zeros: where they are
given (`/sys/kernel/mm/transparent_hugepage/enabled` is madvise or always), that can take as long as reading the file.
The allocator of the system asks for small pages.
"""

from __future__ import annotations

import pyarrow as pa

SMALL_PAGES = pa.system_memory_pool()
