"""When a schedule is due: one dialect and one rule, whatever the cloud.

The dialect is POSIX's five fields: minute (0 to 59), hour (0 to 23), day of the month (1 to 31), month (1 to 12 or jan
to dec), weekday (0 to 7 or sun to sat; 0 and 7 are Sunday). A field is ``*``, a number, a range ``a-b``, either of
these with a step (``*/n``, ``a-b/n``), or a list of them with commas. Where both the day of the month and the weekday
are restricted, a day that fits either is due.

A cron expression names times on the clock of its zone. A time that is skipped when the clocks go forward is not due
that day. A time that comes twice when they go back is due the first time. An expression whose hour, day, month and
weekday are all ``*`` says how often an hour, not when: it is due in each hour that passes, through both changes.

An interval counts from the epoch, 1970-01-01T00:00Z, where the target lets it.
"""
