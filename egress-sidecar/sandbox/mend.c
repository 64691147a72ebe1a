/* SPDX-License-Identifier: Apache-2.0 */
/* Putting back what the kernel is seen to hold no longer. */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>

enum {
	MEND_MS = 1000
};

void mend_done(struct sandbox *s)
{
	uv_timer_stop(s->mender);
	if (!s->lost)
		return;
	s->lost = false;
	journal_restored(&s->journal);
	/* What was opened meanwhile ends here. */
	(void)filter_end_revoked(s->filter, s->policy, s->leases, now_ms());
}

static void on_mend(uv_timer_t *timer)
{
	struct sandbox *s = timer->data;
	uint64_t begun = now_ms();
	int err = filter_apply(s->filter, s->policy, s->leases, begun);

	if (err)
		journal_kernel_failure(&s->journal, err);
	else
		mend_done(s);
	s->mended_ms = now_ms();
	s->mending_ms = s->mended_ms - begun;
}

/* Apply the policy again, and go on trying. At once, unless it was only just
 * done: whoever takes the rules away again and again gets half of our time. */
void mend_start(struct sandbox *s)
{
	uint64_t since = now_ms() - s->mended_ms, wait = 0;

	if (!s->mender || uv_is_active((uv_handle_t *)s->mender))
		return;
	if (since < s->mending_ms)
		wait = s->mending_ms - since;
	uv_update_time(s->shared->loop);
	uv_timer_start(s->mender, on_mend, wait, MEND_MS);
}

static const struct listeners *gate_sockets(const struct sandbox *s)
{
	return s->place.listeners ? s->place.listeners : &s->own_gate;
}

const char *sandbox_lost(struct sandbox *s)
{
	const char *what = filter_lost(s->filter);

	if (!what)
		return s->gate && !listeners_have_gate(gate_sockets(s))
			       ? "the gate's listeners are gone"
			       : NULL;
	if (!s->lost) {
		s->counts.rules_lost++;
		journal_lost(&s->journal, what);
	}
	s->lost = true;
	mend_start(s);
	return what;
}

int mend_open(struct sandbox *s)
{
	s->mender = malloc(sizeof(*s->mender));
	if (!s->mender)
		return -ENOMEM;
	uv_timer_init(s->shared->loop, s->mender);
	s->mender->data = s;
	return 0;
}
