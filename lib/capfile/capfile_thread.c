/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads of a capture file: the writer's, and those that compress. Each runs where EAL lets
 * control threads run, beside the lcores if there is room. It takes no signals: they are for the
 * main thread, and a broken pipe shows as EPIPE.
 */
#include "capfile_private.h"

#include <signal.h>

#ifdef MS_CAPFILE_RTE_THREAD
static uint32_t
thread_main(void *arg)
{
	struct ms_capfile_thread *thread = arg;

	thread->run(thread->arg);
	return 0;
}

static int
create(struct ms_capfile_thread *thread, const char *name)
{
	return rte_thread_create_control(&thread->id, name, thread_main, thread);
}
#else
static void *
thread_main(void *arg)
{
	struct ms_capfile_thread *thread = arg;

	thread->run(thread->arg);
	return NULL;
}

static int
create(struct ms_capfile_thread *thread, const char *name)
{
	return rte_ctrl_thread_create(&thread->id, name, NULL, thread_main, thread);
}
#endif

int
ms_capfile_thread_start(
	struct ms_capfile_thread *thread, const char *name, void (*run)(void *), void *arg)
{
	sigset_t all, before;
	int error;

	thread->run = run;
	thread->arg = arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = create(thread, name);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error > 0 ? -error : error;
}

void
ms_capfile_thread_join(const struct ms_capfile_thread *thread)
{
#ifdef MS_CAPFILE_RTE_THREAD
	rte_thread_join(thread->id, NULL);
#else
	pthread_join(thread->id, NULL);
#endif
}

void
ms_capfile_thread_leave(ms_capfile_thread_id id)
{
#ifdef MS_CAPFILE_RTE_THREAD
	rte_thread_detach(id);
#else
	pthread_detach(id);
#endif
}
