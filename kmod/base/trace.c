// SPDX-License-Identifier: GPL-2.0
/*
 * Tracepoints. They are told numbers and names, and know nobody's structures.
 */
#define CREATE_TRACE_POINTS
#include "base/trace.h"
