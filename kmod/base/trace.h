/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM fisc

#if !defined(_FISC_BASE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _FISC_BASE_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(fisc_sample,
	    TP_PROTO(const char *vm, u32 index, u64 gfn, bool touched),
	    TP_ARGS(vm, index, gfn, touched),
	    TP_STRUCT__entry(__string(vm, vm)
			     __field(u32, index)
			     __field(u64, gfn)
			     __field(bool, touched)),
	    TP_fast_assign(__assign_str(vm);
			   __entry->index = index;
			   __entry->gfn = gfn;
			   __entry->touched = touched;),
	    TP_printk("vm=%s index=%u gfn=%#llx touched=%d", __get_str(vm),
		      __entry->index, __entry->gfn, __entry->touched)
);

TRACE_EVENT(fisc_estimate,
	    TP_PROTO(const char *vm, unsigned int touched,
		     unsigned int pages, u32 slow, u32 fast, u32 active,
		     u32 error),
	    TP_ARGS(vm, touched, pages, slow, fast, active, error),
	    TP_STRUCT__entry(__string(vm, vm)
			     __field(unsigned int, touched)
			     __field(unsigned int, pages)
			     __field(u32, slow)
			     __field(u32, fast)
			     __field(u32, active)
			     __field(u32, error)),
	    TP_fast_assign(__assign_str(vm);
			   __entry->touched = touched;
			   __entry->pages = pages;
			   __entry->slow = slow;
			   __entry->fast = fast;
			   __entry->active = active;
			   __entry->error = error;),
	    TP_printk("vm=%s touched=%u pages=%u slow=%u fast=%u active=%u error=%u (of 65536)",
		      __get_str(vm), __entry->touched, __entry->pages,
		      __entry->slow, __entry->fast, __entry->active,
		      __entry->error)
);

TRACE_EVENT(fisc_target,
	    TP_PROTO(const char *vm, u64 allocated, u64 active, u64 target),
	    TP_ARGS(vm, allocated, active, target),
	    TP_STRUCT__entry(__string(vm, vm)
			     __field(u64, allocated)
			     __field(u64, active)
			     __field(u64, target)),
	    TP_fast_assign(__assign_str(vm);
			   __entry->allocated = allocated;
			   __entry->active = active;
			   __entry->target = target;),
	    TP_printk("vm=%s allocated=%llu active=%llu target=%llu (pages)",
		      __get_str(vm), __entry->allocated, __entry->active,
		      __entry->target)
);

TRACE_EVENT(fisc_state,
	    TP_PROTO(const char *state, u64 free, u64 host),
	    TP_ARGS(state, free, host),
	    TP_STRUCT__entry(__string(state, state)
			     __field(u64, free)
			     __field(u64, host)),
	    TP_fast_assign(__assign_str(state);
			   __entry->free = free;
			   __entry->host = host;),
	    TP_printk("state=%s free=%llu host=%llu (pages)",
		      __get_str(state), __entry->free, __entry->host)
);

TRACE_EVENT(fisc_balloon,
	    TP_PROTO(const char *vm, u64 target, u64 actual),
	    TP_ARGS(vm, target, actual),
	    TP_STRUCT__entry(__string(vm, vm)
			     __field(u64, target)
			     __field(u64, actual)),
	    TP_fast_assign(__assign_str(vm);
			   __entry->target = target;
			   __entry->actual = actual;),
	    TP_printk("vm=%s target=%llu actual=%llu (pages)",
		      __get_str(vm), __entry->target, __entry->actual)
);

#endif /* _FISC_BASE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH base
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
