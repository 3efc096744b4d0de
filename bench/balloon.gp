# SPDX-License-Identifier: GPL-2.0
# How fast balloons are, from runs.csv.
set terminal svg size 800,520 background "white"
set output dir."/balloon.svg"
set datafile separator comma
set datafile columnheaders
set grid ytics
set key below
set logscale y
set xtics rotate by -45
set ylabel "MiB a second"
csv = dir."/runs.csv"
plot csv using 0:"inflate_mib_s":xtic(1) with points pt 7 ps 1.5 title "inflated", \
     csv using 0:"deflate_mib_s" with points pt 6 ps 1.5 title "deflated"
