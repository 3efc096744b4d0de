# SPDX-License-Identifier: GPL-2.0
# Figure 7: memory of an idle and a busy guest without and with the tax on idle
# memory, and what the busy one reads, from targets.csv; for comparison, the
# results that the paper states (Waldspurger, OSDI 2002, section 5.2): 179 of
# 256 MB each without a tax, and 30 % more throughput with it.
set terminal svg size 800,900 background "white"
set output dir."/figure-7.svg"
set datafile separator comma
set datafile columnheaders
set grid
set key below
set yrange [0:*]
csv = dir."/targets.csv"
stats csv using "time_s":(column("tax_rate") == 0 ? column("time_s") : 0) nooutput
change = STATS_max_y
stats csv using (column("tax_rate") == 0 ? column("busy_mib_s") : NaN) nooutput
before = STATS_median
set arrow from change, graph 0 to change, graph 1 nohead dashtype 2
set label "tax rate 0" at change, graph 0.96 right offset -1,0
set label "75 %" at change, graph 0.96 left offset 1,0
set multiplot layout 2,1
set ylabel "MiB"
plot csv using "time_s":"busy_allocated_mib" with lines lw 3 lc "black" title "busy: allocated", \
     csv using "time_s":"busy_target_mib" with lines lc "black" title "target", \
     csv using "time_s":"busy_active_mib" with lines dashtype 3 lc "black" title "active", \
     csv using "time_s":"idle_allocated_mib" with lines lw 3 lc "gray50" title "idle: allocated", \
     csv using "time_s":"idle_target_mib" with lines lc "gray50" title "target", \
     csv using "time_s":"idle_active_mib" with lines dashtype 3 lc "gray50" title "active", \
     csv using "time_s":(column("tax_rate") == 0 ? column("size_mib") * 179 / 256 : NaN) with lines dashtype 2 lc "red" title "paper: both"
set ylabel "MiB read a second, busy"
set xlabel "seconds"
plot csv using "time_s":"busy_mib_s" with lines lw 2 lc "black" title "reads", \
     csv using "time_s":(column("tax_rate") == 0 ? NaN : 1.3 * before) with lines dashtype 2 lc "red" title "paper: 30 % more than before"
unset multiplot
