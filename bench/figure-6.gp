# SPDX-License-Identifier: GPL-2.0
# Figure 6: memory that is touched, and its estimate by sampling, from
# samples.csv; below, with large pages, from samples-large.csv.
set terminal svg size 800,900 background "white"
set output dir."/figure-6.svg"
set datafile separator comma
set datafile columnheaders
set grid
set key below
set yrange [0:100]
set ylabel "% of VM memory"
set multiplot layout 2,1
do for [name in "samples samples-large"] {
	csv = dir."/".name.".csv"
	set title name eq "samples" ? "Small pages" : "Large pages"
	if (name eq "samples-large") { set xlabel "seconds" }
	plot csv using "time_s":(column("estimate_pct") - column("error_pct")):(column("estimate_pct") + column("error_pct")) \
	     with filledcurves fillcolor "gray90" title "estimate, and its error", \
	     csv using "time_s":"true_pct" with steps lw 3 linecolor "gray50" title "touched", \
	     csv using "time_s":"slow_pct" with lines dashtype 3 linecolor "blue" title "slow average", \
	     csv using "time_s":"fast_pct" with lines dashtype 2 linecolor "red" title "fast average", \
	     csv using "time_s":"estimate_pct" with lines lw 2 linecolor "black" title "estimate", \
	     csv using "time_s":"young_pct" with points pt 6 linecolor "forest-green" title "accessed, by KVM's bits"
}
unset multiplot
