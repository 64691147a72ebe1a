/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* The other screen and no cursor; and back (xterm's control sequences). */
#define TAKE "\033[?1049h\033[?25l"
#define GIVE "\033[?25h\033[?1049l"
/* Home; what is left of a line, of the screen. */
#define HOME        "\033[H"
#define CLEAR_LINE  "\033[K"
#define CLEAR_BELOW "\033[J"
#define KEYS                                                             \
	"q quit  sort by: i id  d denied  l leases  o open  s queries  " \
	"r backwards"

enum {
	WIDE = 100 /* for all columns */
};

static const int told[SCREEN_SIGNALS] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP,
					 SIGWINCH};

/* As it was; of the process, for there is one terminal. */
static struct termios as_it_was;

static void say(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
}

static void measure(struct screen *s)
{
	struct winsize size = {.ws_row = 0};

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	s->width = size.ws_col ? size.ws_col : 80;
	s->height = size.ws_row ? size.ws_row : 24;
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct screen *s = handle->data;

	if (number == SIGWINCH) {
		measure(s);
		s->changed = true;
	} else {
		s->quit = true;
	}
}

static void on_keys(uv_poll_t *poll, int status, int events)
{
	struct screen *s = poll->data;
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	(void)events;
	if (status < 0 || n == 0 || (n < 0 && errno != EAGAIN))
		s->quit = true;
	for (ssize_t i = 0; i < n; i++) {
		if (keys[i] == 'q')
			s->quit = true;
		else if (keys[i] == 'r')
			s->backwards = !s->backwards;
		else if (keys[i] && strchr("idlos", keys[i]))
			s->order = keys[i];
		s->changed = true;
	}
}

static void on_time(uv_timer_t *timer)
{
	struct screen *s = timer->data;

	s->due = true;
	uv_stop(s->loop); /* do not wait on within this uv_run() */
}

int screen_open(struct screen *s, uv_loop_t *loop)
{
	struct termios mode;
	int err = 0;

	*s = (struct screen){.loop = loop, .order = 'd'};
	if (tcgetattr(STDIN_FILENO, &as_it_was) < 0)
		return -errno;
	mode = as_it_was;
	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	/* Stopped, it would leave the terminal as it is now. */
	mode.c_cc[VSUSP] = _POSIX_VDISABLE;
	measure(s);
	for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
		uv_signal_init(loop, &s->signals[i]);
		s->signals[i].data = s;
		err = err ? err
			  : uv_signal_start(&s->signals[i], on_signal, told[i]);
	}
	uv_timer_init(loop, &s->timer);
	uv_poll_init(loop, &s->keys, STDIN_FILENO);
	s->timer.data = s->keys.data = s;
	if (!err)
		err = uv_poll_start(&s->keys, UV_READABLE, on_keys);
	if (!err && tcsetattr(STDIN_FILENO, TCSANOW, &mode) < 0)
		err = -errno;
	say(TAKE, strlen(TAKE));
	return err;
}

void screen_close(struct screen *s)
{
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &as_it_was);
	say(GIVE, strlen(GIVE));
	for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
	uv_close((uv_handle_t *)&s->timer, NULL);
	uv_close((uv_handle_t *)&s->keys, NULL);
}

void screen_wait(struct screen *s, unsigned seconds)
{
	if (!uv_is_active((uv_handle_t *)&s->timer)) {
		s->due = false;
		uv_timer_start(&s->timer, on_time, seconds * 1000, 0);
	}
	s->changed = false;
	while (!s->quit && !s->due && !s->changed)
		uv_run(s->loop, UV_RUN_ONCE);
}

static json_int_t column(const struct sandbox_row *r, char order)
{
	return order == 'd'   ? r->denied
	       : order == 'l' ? r->leases
	       : order == 'o' ? r->open
	       : order == 's' ? r->queries
			      : 0;
}

/* The most first, then by id. */
static int compare(const void *a, const void *b, void *screen)
{
	const struct screen *s = screen;
	const struct sandbox_row *x = a, *y = b;
	json_int_t m = column(x, s->order), n = column(y, s->order);
	int order = m != n ? (m < n ? 1 : -1) : strcmp(x->id, y->id);

	return s->backwards ? -order : order;
}

/* A line, cut to the screen's width. */
static void __attribute__((format(printf, 4, 5)))
line(FILE *out, const struct screen *s, bool last, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(out, "%.*s" CLEAR_LINE "%s", (int)s->width, text,
		last ? "" : "\r\n");
}

/* What a line of the table says. */
struct cells {
	const char *id, *mode, *health, *rules, *leases, *open, *queries,
		*denied, *refused, *last;
};

/* A narrow screen has what tells that something is wrong. */
static void cells_line(FILE *out, const struct screen *s, const struct cells *c,
		       bool last)
{
	int id = s->width / 3 < 24 ? (int)s->width / 3 : 24;

	if (s->width >= WIDE)
		line(out, s, last,
		     "%-24.24s %-9.9s %-6.6s %6s %6s %6s %8s %7s %7s %s", c->id,
		     c->mode, c->health, c->rules, c->leases, c->open,
		     c->queries, c->denied, c->refused, c->last);
	else
		line(out, s, last, "%-*.*s %-6.6s %6s %6s %s", id, id, c->id,
		     c->health, c->open, c->denied, c->last);
}

static void row_line(FILE *out, const struct screen *s,
		     const struct sandbox_row *r, bool last)
{
	char n[6][24];

	snprintf(n[0], sizeof(n[0]), "%lld", (long long)r->rules);
	snprintf(n[1], sizeof(n[1]), "%lld", (long long)r->leases);
	snprintf(n[2], sizeof(n[2]), "%lld", (long long)r->open);
	snprintf(n[3], sizeof(n[3]), "%lld", (long long)r->queries);
	snprintf(n[4], sizeof(n[4]), "%lld", (long long)r->denied);
	snprintf(n[5], sizeof(n[5]), "%lld", (long long)r->gate_refused);
	cells_line(out, s,
		   &(struct cells){r->id, r->mode, r->health, n[0], n[1], n[2],
				   n[3], n[4], r->gate ? n[5] : "off", r->last},
		   last);
}

void screen_draw(const struct screen *s, const char *where, const char *wrong,
		 struct sandbox_row *rows, size_t n)
{
	static const struct cells heads = {
		"ID",   "POLICY",  "HEALTH", "RULES",   "LEASES",
		"OPEN", "QUERIES", "DENIED", "REFUSED", "LAST DENIED"};
	char *text = NULL;
	size_t len = 0, shown = n;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	if (n > 1)
		qsort_r(rows, n, sizeof(*rows), compare, (void *)s);
	fputs(HOME, out);
	line(out, s, s->height < 2,
	     "%zu guarded%s%s; denied: in the last minute; %s", n,
	     wrong[0] ? "; " : "", wrong, where);
	if (s->height > 1)
		line(out, s, s->height < 3, KEYS);
	if (s->height > 2)
		cells_line(out, s, &heads, s->height < 4 || n == 0);
	if (shown + 3 > s->height)
		shown = s->height > 3 ? s->height - 3 : 0;
	for (size_t i = 0; i < shown; i++)
		row_line(out, s, &rows[i], i + 1 == shown);
	fputs(CLEAR_BELOW, out);
	fclose(out);
	say(text, len);
	free(text);
}
