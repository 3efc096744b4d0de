# SPDX-License-Identifier: GPL-2.0
# Figure 7, policy half: targets of an idle and a busy guest without and with the
# tax on idle memory, from targets.csv.
set terminal svg size 800,520 background "white"
set output dir."/figure-7.svg"
set datafile separator comma
set datafile columnheaders
set grid
set key below
set yrange [0:*]
set xlabel "seconds"
set ylabel "MiB"
csv = dir."/targets.csv"
stats csv using "time_s":(column("tax_rate") == 0 ? column("time_s") : 0) nooutput
set arrow from STATS_max_y, graph 0 to STATS_max_y, graph 1 nohead dashtype 2
set label "tax rate 0" at STATS_max_y, graph 0.96 right offset -1,0
set label "75 %" at STATS_max_y, graph 0.96 left offset 1,0
plot csv using "time_s":"busy_target_mib" with lines lw 3 title "busy: target", \
     csv using "time_s":"busy_active_mib" with lines dashtype 2 title "busy: active", \
     csv using "time_s":"idle_target_mib" with lines lw 3 title "idle: target", \
     csv using "time_s":"idle_active_mib" with lines dashtype 2 title "idle: active"
