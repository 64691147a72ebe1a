/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "agent/agent.h"
#include "api/api.h"
#include "filter/filter.h"
#include "log/log.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	PORT_WAIT_MS = 1000, /* for a worker whose supervisor was killed */
	PORT_STEP_MS = 10
};

static int netns_of(const struct settings *settings)
{
	int fd = -1;

	if (settings->netns[0])
		fd = netns_open(settings->netns);
	else if (settings->pid)
		fd = netns_open_pid(settings->pid);
	else
		return -1;
	if (fd >= 0)
		return fd;
	if (settings->netns[0])
		log_fatal("--netns: \"%s\": %s", settings->netns,
			  fd == -EINVAL ? "not a network namespace"
					: strerror(-fd));
	else
		log_fatal("--pid: %d: %s", (int)settings->pid, strerror(-fd));
	return fd;
}

static int own_socket(const struct settings *settings)
{
	return settings->run == RUN_AGENT
		       ? agent_listen(settings->agent_socket)
		       : http_listen(settings->http_host, settings->http_port);
}

/* A worker whose supervisor was killed is about to be gone as well. */
static int own_socket_wait(const struct settings *settings)
{
	const struct timespec step = {.tv_nsec = PORT_STEP_MS * 1000000L};
	int fd = own_socket(settings);

	for (int ms = 0; ms < PORT_WAIT_MS && fd == -EADDRINUSE;
	     ms += PORT_STEP_MS) {
		nanosleep(&step, NULL);
		fd = own_socket(settings);
	}
	return fd;
}

static int agent_socket_open(struct service_sockets *s,
			     const struct settings *settings)
{
	int err;

	s->http = own_socket_wait(settings);
	if (s->http < 0) {
		log_fatal("OPENSANDBOX_EGRESS_AGENT_SOCKET: %s: %s",
			  settings->agent_socket, strerror(-s->http));
		return s->http;
	}
	if (!settings->metrics_port)
		return 0;
	s->metrics =
		http_listen(settings->metrics_host, settings->metrics_port);
	if (s->metrics >= 0)
		return 0;
	err = s->metrics;
	log_fatal("OPENSANDBOX_EGRESS_METRICS_ADDR: %s:%u: %s",
		  settings->metrics_host, settings->metrics_port,
		  strerror(-err));
	service_sockets_close(s);
	return err;
}

/* Without them a worker's end would let a sandbox have AF_XDP. */
static int xdp_sockets_open(struct service_sockets *s,
			    const struct settings *settings)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	int err;

	if (!settings->nft || settings->audit || settings->without & FILTER_XDP)
		return 0;
	(void)setrlimit(RLIMIT_MEMLOCK, &all);
	err = filter_hold_xdp(&s->xdp, s->netns);
	if (err) {
		log_fatal("%s", strerror(-err));
		service_sockets_close(s);
	}
	return err;
}

static int listeners_start(struct service_sockets *s, bool gate)
{
	const char *whose = "DNS";
	uint16_t dns_port;
	int err;

	/* What cannot be read now is for the filter to complain of. */
	(void)filter_dns_port(s->netns, &dns_port);
	err = listeners_open(&s->listeners, s->netns, dns_port, PORT_WAIT_MS);
	if (!err && gate) {
		whose = "the gate's";
		err = listeners_open_gate(&s->listeners, s->netns);
	}
	if (!err)
		return 0;
	log_fatal("%s listeners in the sandbox's namespace: %s%s", whose,
		  strerror(-err),
		  err == -EPERM ? " (CAP_SYS_ADMIN is needed)" : "");
	service_sockets_close(s);
	return err;
}

int service_sockets_open(struct service_sockets *s,
			 const struct settings *settings)
{
	int err;

	*s = (struct service_sockets){-1, LISTENERS_NONE, -1, -1, NULL};
	if (settings->run == RUN_AGENT)
		return agent_socket_open(s, settings);
	if (settings->run == RUN_JOIN) {
		s->netns = netns_of(settings);
		if (s->netns < 0)
			return s->netns;
	}
	s->http = own_socket_wait(settings);
	if (s->http < 0) {
		err = s->http;
		log_fatal("OPENSANDBOX_EGRESS_HTTP_ADDR: %s:%u: %s",
			  settings->http_host, settings->http_port,
			  strerror(-err));
		service_sockets_close(s);
		return err;
	}
	err = listeners_start(s, settings->gate);
	return err ? err : xdp_sockets_open(s, settings);
}

void service_sockets_close(struct service_sockets *s)
{
	listeners_close(&s->listeners);
	xdp_free(s->xdp);
	s->xdp = NULL;
	if (s->http >= 0)
		close(s->http);
	if (s->metrics >= 0)
		close(s->metrics);
	if (s->netns >= 0)
		close(s->netns);
	s->http = s->metrics = s->netns = -1;
}
