"""What code does with resources, read from its source: which values reach which expression, without running any of it.

The app is imported, so what a global, a default, a closure or an attribute holds is known: real objects. From there
values are followed through the project's own functions: through parameters and returns, variables, attributes,
containers, classes and their instances, closures, generators, decorators, properties, and what calls a function later
(``partial``, ``submit``, ``to_thread``). An attribute taken of a resource tells how it is used.

**Why the syntax tree, and not bytecode.** Bytecode needs a stack to be simulated, differs from each Python to the next
(3.11, 3.12 and 3.13 compile comprehensions, calls and loads of attributes each in their own way, 3.12 inlines the
first), and has lost what is asked here: the name of a keyword beside its value, the place of an expression. The tree
has both, and changes by additions alone. Its source is always there: a project is built from its files. A function
without source (made by ``exec``, compiled) is one of those that cannot be followed.

**What it promises.** Values are gathered without regard to order and branches, one set for each variable, attribute
and container: so it may say too much, never too little, as long as it can follow. Where a resource goes out of sight
(to a function that is not the project's, into an object nobody knows, through an attribute whose name is made at run
time) it may be used in any way: it gets every verb of its kind, and a note says where that was. Code that can reach
what nobody sees (``eval``, ``exec``, a module chosen at run time) is noted too: its function gets every verb of
every resource.

What stays unseen: what a C extension holds, an import hook, a monkey patch made while a function runs.
"""

from __future__ import annotations

from portable.flow.trace import Note, Trace

__all__ = ["Note", "Trace"]
