/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy file (OPENSANDBOX_EGRESS_POLICY_FILE): replaced as a whole or not
 * at all, and on the disk before it is named (rename(2), fsync(2)), where its
 * place allows that.
 */
#ifndef EGRESS_POLICY_FILE_H
#define EGRESS_POLICY_FILE_H

#include <stddef.h>

/* A replacement that has been written beside its place, or that waits in
 * memory where nothing can be put there. */
struct policy_file {
	char path[4096];      /* "": there is none */
	char temporary[4112]; /* in the same folder; "": only text */
	int folder;           /* open for syncing it; -1: none */
	char *text;           /* owned */
	size_t len;           /* bytes of text */
};

#define POLICY_FILE_NONE                                  \
	{                                                 \
		.path = "", .temporary = "", .folder = -1 \
	}

/*
 * Write text and a newline to a temporary file in path's folder, or that of
 * the file that path is a link to, and sync both. It gets the mode and owner of
 * the file that it is to replace, and without one is its owner's alone. 0 or
 * -errno (-ENOSPC, -EROFS, -EACCES, ...); on error nothing is left.
 */
int policy_file_prepare(struct policy_file *file, const char *path,
			const char *text, size_t len);

/* Rename it into its place and sync the folder. 0 or -errno; on error the old
 * file is whole and the temporary one gone. Once renamed it is what the next
 * start reads, so that a folder which cannot be synced then is no error: it is
 * logged that a power cut may bring back the old file. A file that is a mount
 * point, or whose folder takes none beside it, is written over instead: the one
 * case in which a power cut may leave half of it. Does nothing where there is
 * none. */
int policy_file_commit(struct policy_file *file);
void policy_file_abandon(struct policy_file *file);

/* Read a whole file of at most max bytes. 0 or -errno (-ENOENT, -EFBIG, ...);
 * *text is NUL-terminated and the caller's to free. */
int policy_file_read(const char *path, size_t max, char **text, size_t *len);

#endif
