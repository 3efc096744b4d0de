# SPDX-License-Identifier: GPL-2.0
# Figure 2: dbench in guests whose balloon leaves them a given amount of memory,
# and in guests of that size, from points.csv.
set terminal svg size 800,520 background "white"
set output dir."/figure-2.svg"
set datafile separator comma
set datafile columnheaders
set grid ytics
set key below
set yrange [0:*]
set style data histograms
set style fill solid 0.8
set boxwidth 0.9
set xlabel "memory of the guest (MiB)"
set ylabel "dbench, 40 clients (MB/s)"
csv = dir."/points.csv"
plot csv using "native":xtic(1) title "given", \
     csv using "ballooned" title "left by the balloon"
