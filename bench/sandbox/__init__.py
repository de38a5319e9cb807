"""The sandbox that each cell runs in: fresh namespaces under a pid 1 that ends with its launcher.

Rules of this package:

* The launcher never enters a namespace; it only talks to the sandbox over a
  :class:`~bench.sandbox.channel.Channel`.
* pid 1 of a sandbox is tiny and single-threaded: it waits, reaps, and ends when the cell, the launcher or
  the zygote ends.  With it the kernel ends every process, mount and interface of the cell.
"""
