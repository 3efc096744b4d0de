# SPDX-License-Identifier: GPL-2.0
# How long each page took, from histograms.csv of bench/fault.
set terminal svg size 1000,480 background "white"
set output dir."/fault.svg"
set datafile separator comma
set datafile columnheaders
set grid
set logscale x 2
set logscale y
set yrange [0.5:*]
set xlabel "a page took less than so many ns"
set ylabel "pages"
set format x "%.0f"
set xtics rotate by -35
csv = dir."/histograms.csv"
set multiplot layout 1,2
set title "first touch"
plot for [c in "memfd_4k_write fisc_4k_write memfd_2m_write fisc_2m_write"] \
	csv using 1:(column(c)) with linespoints title c noenhanced
set title "again, and of shared pages"
plot for [c in "memfd_4k_refault fisc_4k_refault fisc_shared_refault ksm_cow fisc_cow_mapped fisc_cow_unmapped"] \
	csv using 1:(column(c)) with linespoints title c noenhanced
unset multiplot
