// SPDX-License-Identifier: GPL-2.0
/*
 * Tracepoints. Their arguments are numbers and names, so that they depend on no
 * part's structures.
 */
#define CREATE_TRACE_POINTS
#include "base/trace.h"
