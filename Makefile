# SPDX-License-Identifier: GPL-2.0
#
# On a KVM host:    make && make install, or insmod fisc.ko
# On any machine:   make demo, make check (see Documentation/design/lab.rst)

KDIR ?= /lib/modules/$(shell uname -r)/build

.PHONY: all install clean lab demo check check-layers check-long soak help
.PHONY: bench-fault bench-share bench-tax bench-balloon bench-overcommit
.PHONY: bench-adopt bench-scale bench-swap bench-compare figure-2 figure-4 figure-6
.PHONY: figure-7

all:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

install:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
	install -D -m 644 host/60-fisc.rules $(DESTDIR)/usr/lib/udev/rules.d/60-fisc.rules

clean:
	rm -rf build results
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean

lab:
	lab/setup

demo:
	demo/run

check:
	lab/check

check-layers:
	lab/check-layers

bench-adopt:
	bench/run adopt Documentation/figures

bench-fault:
	bench/run fault

bench-share:
	bench/run share Documentation/figures

bench-tax:
	mkdir -p build/bench results/bench-tax
	lab/in-tree gcc -O2 -static -Wall -Wextra -Ibench/tax-shim -Ikmod \
		-o build/bench/tax bench/tax.c kmod/tax/tax.c
	build/bench/tax >results/bench-tax/summary.json
	cat results/bench-tax/summary.json

bench-balloon:
	bench/run balloon Documentation/figures

bench-swap:
	bench/run swap

bench-overcommit:
	bench/run overcommit Documentation/figures

bench-scale:
	bench/run scale

bench-compare:
	bench/compare $(REV)

figure-2:
	bench/run figure-2 Documentation/figures

figure-4:
	bench/run figure-4 Documentation/figures

figure-6:
	bench/run figure-6 Documentation/figures

figure-7:
	bench/run figure-7 Documentation/figures

check-long:
	lab/check --long

soak:
	lab/soak

help:
	@echo 'make                  build fisc.ko for the running kernel (KDIR=...)'
	@echo 'make install          install it where modprobe finds it'
	@echo 'make demo             real VMs on a KVM host in QEMU; VMS=8 MEM=128M'
	@echo 'make check            every test, on a stock and on a debug kernel'
	@echo 'make check-layers     which files of kmod/ depend on a higher layer, or on each'
	@echo '                      other in a circle'
	@echo 'make check-long       the same, with guests that check themselves for 15 minutes,'
	@echo '                      a search for data races, and the soak'
	@echo 'make soak             an hour of guests, too little memory, random changes and'
	@echo '                      failures, on a debug kernel; GUESTS=8 SECONDS_SOAK=3600'
	@echo '                      SEED=... KERNEL=stock'
	@echo 'make bench-fault      cost of page faults, against a memfd and KSM'
	@echo 'make bench-share      sharing against KSM, guest memory against a memfd; RUNS=3'
	@echo 'make bench-tax        time to share out memory among 10,000 VMs'
	@echo 'make bench-balloon    balloons, MiB a second: of QEMU, of fisc with either driver;'
	@echo '                      RUNS=3'
	@echo 'make bench-overcommit an idle and a busy guest on fisc, and with KSM and swap; how'
	@echo '                      fast memory comes back; RUNS=3'
	@echo 'make bench-scale      CPU time of the threads with 1000 VMs, on a host that may get'
	@echo '                      128 CPUs; VMS=1000'
	@echo 'make bench-swap       paging out and in, against the host'"'"'s own swap of anonymous'
	@echo '                      memory; RUNS=3 MEM_MIB=64 LATENCY_US="0 80"'
	@echo 'make bench-compare    this tree against the revision REV=..., in one boot; RUNS=5'
	@echo 'make bench-adopt      guests that are adopted while they run'
	@echo 'make figure-2         dbench in guests with a balloon, and of that size'
	@echo 'make figure-4         1 to 10 guests, and what they share'
	@echo 'make figure-6         sampling: memory a guest touches, and the estimate;'
	@echo '                      PERIOD_MS=5000'
	@echo 'make figure-7         memory of an idle and a busy guest, and what the busy one'
	@echo '                      does, without and with the tax; PERIOD_MS=5000'
	@echo 'make lab              set up what demo and check need, in the cache'
	@echo 'make clean            remove what was built in this directory'
