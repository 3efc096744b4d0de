# SPDX-License-Identifier: GPL-2.0
# Saved memory over time and over the scanner's CPU time, by engine, from
# saved.csv of bench/share; latencies of faults, from its histograms.csv.
set terminal svg size 1000,900 background "white"
set output dir."/share.svg"
set datafile separator comma
set grid
set key right bottom
csv = dir."/saved.csv"
of(engine) = sprintf("< awk -F, '$1 == 0 && $2 == \"%s\"' %s", engine, csv)
set multiplot layout 2,2 title "Sharing of the same guests by fisc and by KSM; faults"
set yrange [0:*]
set ylabel "MiB more available on the host"
set xlabel "seconds since it was switched on"
plot for [e in "fisc ksm_default ksm_fast"] of(e) using 3:4 with lines lw 2 title e noenhanced
set xlabel "CPU seconds of the scanner"
plot for [e in "fisc ksm_default ksm_fast"] of(e) using 5:4 with lines lw 2 title e noenhanced
csv = dir."/histograms.csv"
set datafile columnheaders
set logscale x 2
set logscale y
set yrange [0.5:*]
set key right top
set xlabel "a page took less than so many ns"
set ylabel "pages"
set format x "%.0f"
set xtics rotate by -35
plot for [c in "memfd_4k_write fisc_4k_write memfd_2m_write fisc_2m_write"] \
	csv using 1:(column(c)) with linespoints title c noenhanced
plot for [c in "ksm_cow fisc_cow_mapped fisc_cow_unmapped memfd_4k_refault fisc_4k_refault"] \
	csv using 1:(column(c)) with linespoints title c noenhanced
unset multiplot
