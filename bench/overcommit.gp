# SPDX-License-Identifier: GPL-2.0
# An idle and a busy guest, with fisc and on a host without it: their memory,
# and what the busy one reads, from compared.csv; and a guest that writes to all
# of its memory, from reactions.csv. The first run of each.
set terminal svg size 800,1200 background "white"
set output dir."/overcommit.svg"
set datafile separator comma
set datafile columnheaders
set grid
set key below
set yrange [0:*]
csv = dir."/compared.csv"
of(engine, what) = strcol("engine") eq engine && column("run") == 0 ? column(what) : NaN
set multiplot layout 3,1
set ylabel "MiB"
plot csv using "time_s":(of("fisc", "busy_mib")) with lines lw 3 lc "black" title "fisc: busy", \
     csv using "time_s":(of("fisc", "idle_mib")) with lines lw 3 lc "gray50" title "idle", \
     csv using "time_s":(of("host", "busy_mib")) with lines dashtype 2 lw 2 lc "red" title "KSM and swap: busy", \
     csv using "time_s":(of("host", "idle_mib")) with lines dashtype 2 lw 2 lc "orange" title "idle"
set ylabel "MiB read a second"
plot csv using "time_s":(of("fisc", "mib_s")) with lines lw 3 lc "black" title "fisc", \
     csv using "time_s":(of("host", "mib_s")) with lines dashtype 2 lw 2 lc "red" title "KSM and swap"
csv = dir."/reactions.csv"
by(way, what) = strcol("way") eq way && column("run") == 0 ? column(what) : NaN
set ylabel "MiB"
set xlabel "seconds"
plot csv using "time_s":(by("balloon", "free_mib")) with lines lw 2 lc "black" title "balloon: free", \
     csv using "time_s":(by("balloon", "idle_mib")) with lines lw 2 lc "gray50" title "idle", \
     csv using "time_s":(by("balloon", "hungry_mib")) with lines lc "blue" title "hungry", \
     csv using "time_s":(by("paging", "free_mib")) with lines dashtype 2 lw 2 lc "red" title "paging: free", \
     csv using "time_s":(by("paging", "idle_mib")) with lines dashtype 2 lw 2 lc "orange" title "idle", \
     csv using "time_s":(by("paging", "hungry_mib")) with lines dashtype 2 lc "purple" title "hungry"
unset multiplot
