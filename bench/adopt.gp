# SPDX-License-Identifier: GPL-2.0
# How long a guest's accesses took, and how long the module blocked them, from
# holds.csv of bench/adopt.
set terminal svg size 800,480 background "white"
set output dir."/adopt.svg"
set datafile separator comma
set datafile columnheaders
set grid
set key below
set logscale x 2
set logscale y
set yrange [0.5:*]
set xlabel "an access took less than so many us"
set ylabel "accesses"
csv = dir."/holds.csv"
plot for [c in "nothing first_access adoption release waits_map waits_copy waits_release"] \
	csv using 1:(column(c)) with linespoints title c noenhanced
