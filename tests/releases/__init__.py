"""Every release that was given out: its wheel, and journals that it wrote, for tests of upgrades.  `__main__.py` keeps one."""
