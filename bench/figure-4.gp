# SPDX-License-Identifier: GPL-2.0
# Figure 4: memory shared and reclaimed by number of guests, from shared.csv,
# and the results that the paper states (Waldspurger, OSDI 2002, section 4.3).
set terminal svg size 640,800 background "white"
set output dir."/figure-4.svg"
set datafile separator comma
set key left top
set grid
set xrange [0.5:10.5]
set xtics 1
set yrange [0:*]
csv = dir."/shared.csv"
$paper_shared << END
10,67
END
$paper_reclaimed << END
1,12.5
10,60
END
set multiplot layout 2,1
set ylabel "MiB"
plot csv using 1:2 skip 1 with linespoints lw 2 title "VM memory", \
     csv using 1:3 skip 1 with linespoints lw 2 title "shared (COW)", \
     csv using 1:4 skip 1 with linespoints lw 2 title "reclaimed", \
     csv using 1:5 skip 1 with linespoints title "of this, zero pages"
set ylabel "% of VM memory"
set yrange [0:100]
set xlabel "number of VMs"
plot csv using 1:6 skip 1 with linespoints lw 2 title "shared (COW)", \
     csv using 1:7 skip 1 with linespoints lw 2 title "reclaimed", \
     $paper_shared using 1:2 with points pt 6 ps 2 title "paper: shared", \
     $paper_reclaimed using 1:2 with points pt 4 ps 2 title "paper: reclaimed"
unset multiplot
