# SPDX-License-Identifier: GPL-2.0
# MiB/s and CPU time per MiB of each run, from runs.csv of bench/swap: the host,
# fisc with a paging device, and fisc through the host's swap.
set terminal svg size 1000,480 background "white"
set output dir."/swap.svg"
set datafile separator comma
set datafile columnheaders
set grid
set yrange [0:*]
set xlabel "run (those with latency last)"
csv = dir."/runs.csv"
set key outside below
set multiplot layout 1,2
set ylabel "MiB/s"
plot for [c in "host_4k_out fisc_4k_out swap_4k_out host_4k_in fisc_4k_in swap_4k_in host_4k_random fisc_4k_random swap_4k_random"] \
	csv using 0:(column(c."_mib_s")) with linespoints title c noenhanced
set ylabel "ms of CPU time per MiB"
plot for [c in "host_4k_out fisc_4k_out swap_4k_out host_4k_in fisc_4k_in swap_4k_in host_4k_random fisc_4k_random swap_4k_random"] \
	csv using 0:(column(c."_cpu_ms_per_mib")) with linespoints title c noenhanced
unset multiplot
