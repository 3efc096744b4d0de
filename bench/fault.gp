# SPDX-License-Identifier: GPL-2.0
# Every run of bench/fault, from its runs.csv: a point each.
set terminal svg size 900,480 background "white"
set output dir."/fault.svg"
set datafile separator comma
set grid ytics
set key off
set yrange [0:*]
csv = dir."/runs.csv"
set multiplot layout 1,2 title "Page faults of a process, and of a guest"
set ylabel "microseconds a page"
set xrange [0.5:7.5]
set xtics rotate by -35 ("memfd write" 1, "fisc write" 2, "fisc refault" 3, \
	"fisc shared read" 4, "fisc COW break" 5, "memfd read" 6, "fisc read" 7)
plot for [c=1:7] csv using (c):(column(c) / 1000) skip 1 with points pt 7
set ylabel "ms for a guest to write fresh memory"
set xrange [0.5:2.5]
set xtics ("on memfd" 1, "on fisc" 2)
plot for [c=8:9] csv using (c - 7):(column(c)) skip 1 with points pt 7
unset multiplot
