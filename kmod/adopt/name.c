// SPDX-License-Identifier: GPL-2.0
/*
 * The names of VMs, and which of them are listed. See DOC: Automatic
 * adoption in auto.h.
 */
#include <linux/cleanup.h>
#include <linux/ctype.h>
#include <linux/glob.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "adopt/name.h"

/* How many bytes of a command line are searched for a name. */
#define FISC_NAME_ARGS	4096

static DEFINE_MUTEX(fisc_names_mutex);
/* Patterns, one per line; NULL if there are none. */
static char *fisc_names;

static bool fisc_is_name(const char *name)
{
	if (!*name || *name == '.')
		return false;
	for (; *name; name++)
		if (!isalnum(*name) && !strchr(".-_:", *name))
			return false;

	return true;
}

/* QEMU's "[guest=]NAME[,OPTION=VALUE]..." */
static bool fisc_name_of_option(char *option, char *name)
{
	char *word;

	while ((word = strsep(&option, ","))) {
		const char *value = word;

		if (str_has_prefix(word, "guest="))
			value = word + strlen("guest=");
		else if (strchr(word, '='))
			continue;
		return strscpy(name, value, FISC_NAME_MAX) > 0 &&
		       fisc_is_name(name);
	}

	return false;
}

/*
 * Read memory of a process if it is present. Nothing is waited for, and only
 * anonymous memory is read, as arguments are: the process decides where they
 * are, and that could be in a file system of its own.
 * Return: number of bytes, or -EAGAIN.
 */
static int fisc_args_read(struct mm_struct *mm, unsigned long addr, char *args,
			  unsigned int size)
{
	unsigned int len = 0;
	bool later = false;

	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	while (len < size) {
		unsigned int offset = offset_in_page(addr + len);
		unsigned int part = min(size - len,
					(unsigned int)PAGE_SIZE - offset);
		struct vm_area_struct *vma = vma_lookup(mm, addr + len);
		struct page *page;
		long nr;

		if (!vma || !vma_is_anonymous(vma))
			break;
		nr = get_user_pages_remote(mm, addr + len, 1, FOLL_NOWAIT,
					   &page, NULL);
		if (!nr)
			later = true;
		if (nr != 1)
			break;
		memcpy_from_page(args + len, page, offset, part);
		put_page(page);
		len += part;
	}
	mmap_read_unlock(mm);

	return later ? -EAGAIN : len;
}

/**
 * fisc_name_of_task() - find a VM's name in its VMM's command line
 * @task: the process
 * @name: room for FISC_NAME_MAX characters
 *
 * Context: may sleep, but does not wait for the process.
 * Return: 1 if there is a name and a VM can be called that, 0 if there is none,
 * -EAGAIN if the command line cannot be read now.
 */
int fisc_name_of_task(struct task_struct *task, char *name)
{
	char *args __free(kfree) = kzalloc(FISC_NAME_ARGS, GFP_KERNEL);
	struct mm_struct *mm = args ? get_task_mm(task) : NULL;
	unsigned long start, end;
	const char *arg;
	int len;

	if (!mm)
		return 0;
	spin_lock(&mm->arg_lock);
	start = mm->arg_start;
	end = mm->arg_end;
	spin_unlock(&mm->arg_lock);
	/* The last byte stays 0. */
	len = end > start ? fisc_args_read(mm, start, args,
					   min(end - start,
					       FISC_NAME_ARGS - 1UL)) : 0;
	mmput(mm);
	for (arg = args; len > 0 && arg < args + len; arg += strlen(arg) + 1) {
		const char *option = arg + strlen(arg) + 1;

		if ((!strcmp(arg, "-name") || !strcmp(arg, "--name")) &&
		    option < args + len)
			return fisc_name_of_option((char *)option, name);
	}

	return min(len, 0);
}

/**
 * fisc_name_is_listed() - tell whether a name matches one of the patterns
 * @name: the name
 *
 * Context: may sleep; takes fisc_names_mutex.
 * Return: true if it does.
 */
bool fisc_name_is_listed(const char *name)
{
	const char *at;

	guard(mutex)(&fisc_names_mutex);
	at = fisc_names;
	while (at && *at) {
		const char *end = strchrnul(at, '\n');
		char pattern[FISC_NAME_MAX] = "";

		memcpy(pattern, at, end - at);
		if (glob_match(pattern, name))
			return true;
		at = *end ? end + 1 : end;
	}

	return false;
}

/**
 * fisc_names_set() - set the patterns
 * @words: patterns, separated by white space
 *
 * Context: may sleep; takes fisc_names_mutex.
 * Return: 0; -ENAMETOOLONG if a pattern is longer than a name may be, -E2BIG if
 * all together are longer than a page, -ENOMEM.
 */
int fisc_names_set(const char *words)
{
	char *copy __free(kfree) = kstrdup(words, GFP_KERNEL);
	char *names __free(kfree) = kzalloc(strlen(words) + 1, GFP_KERNEL);
	char *rest = copy, *word;
	size_t len = 0;

	if (!copy || !names)
		return -ENOMEM;
	while ((word = strsep(&rest, " \t\n"))) {
		if (strlen(word) >= FISC_NAME_MAX)
			return -ENAMETOOLONG;
		if (*word)
			len += sprintf(names + len, "%s%s", len ? "\n" : "",
				       word);
	}
	if (len + 1 >= PAGE_SIZE)
		return -E2BIG;
	guard(mutex)(&fisc_names_mutex);
	swap(fisc_names, names);

	return 0;
}

/**
 * fisc_names_get() - print the patterns, one per line
 * @buf: a page
 *
 * Context: may sleep; takes fisc_names_mutex.
 * Return: number of characters.
 */
ssize_t fisc_names_get(char *buf)
{
	guard(mutex)(&fisc_names_mutex);

	return sysfs_emit(buf, "%s\n", fisc_names ?: "");
}

/**
 * fisc_names_exit() - free the patterns, which nothing uses any more
 *
 * Context: any.
 */
void fisc_names_exit(void)
{
	kfree(fisc_names);
}
