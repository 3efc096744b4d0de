# SPDX-License-Identifier: GPL-2.0
# Saved memory over time, from series.csv of the demo.
set terminal svg size 800,480 background "white"
set output dir."/saved.svg"
set datafile separator comma
set key left top
set grid
set xlabel "seconds since sharing was switched on"
set ylabel "MiB"
set yrange [0:*]
set xrange [-60:*]
set title "Guest memory of identical VMs, before and after sharing"
csv = dir."/series.csv"
plot csv using 1:3 skip 1 with lines lw 2 title "present in guests", \
     csv using 1:4 skip 1 with lines lw 2 title "frames that hold it", \
     csv using 1:5 skip 1 with lines lw 2 title "saved", \
     csv using 1:6 skip 1 with lines lw 1 title "of this, zero pages"
