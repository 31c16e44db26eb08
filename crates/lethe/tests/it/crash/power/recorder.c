/* Records what a process does to files below one directory, so that a test can make the disk as a
 * cut of the power would have left it: see disk.rs. Preloaded into the server and its commands.
 *
 * Each call is made and written down under one lock, also between processes, so that the order in
 * the record is the order in which the calls were made. A call that bypasses the C library is not
 * seen; a file that was made that way is met at its first write, which tells its name.
 *
 * LETHE_CUT_ROOT: the directory. LETHE_CUT_RECORD: where to write, outside of it.
 *
 * A record: u8 what | u64 inode | u64 offset or length | u32 x 3 lengths | path | path | data,
 * in the byte order of the machine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum what { MADE = 1, WROTE, CUT, SYNCED, DIR_MADE, RENAMED, REMOVED, LINKED };

static char root[PATH_MAX];
static size_t root_length;
static int record = -1, lock_file = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
  const char *where = getenv("LETHE_CUT_ROOT"), *to = getenv("LETHE_CUT_RECORD");
  if (!where || !to || strlen(where) >= sizeof root) return;
  strcpy(root, where);
  root_length = strlen(root);
  record = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  lock_file = syscall(SYS_openat, AT_FDCWD, to, O_RDONLY | O_CLOEXEC, 0);
}

static void hold(void) {
  pthread_mutex_lock(&mutex);
  if (lock_file >= 0)
    while (syscall(SYS_flock, lock_file, LOCK_EX) < 0 && errno == EINTR) {}
}

static void let_go(void) {
  int kept = errno;
  if (lock_file >= 0) syscall(SYS_flock, lock_file, LOCK_UN);
  pthread_mutex_unlock(&mutex);
  errno = kept;
}

/* The root itself, or what is below it. */
static int is_below(const char *path) {
  char after = root_length && !strncmp(path, root, root_length) ? path[root_length] : 'x';
  return after == '/' || after == 0;
}

static void write_down(enum what what, uint64_t inode, uint64_t number, const char *path,
                       const char *other, const void *data, size_t length) {
  int kept = errno;
  unsigned char head[1 + 8 + 8 + 12];
  uint32_t lengths[3] = {strlen(path), strlen(other), length};
  head[0] = what;
  memcpy(head + 1, &inode, 8);
  memcpy(head + 9, &number, 8);
  memcpy(head + 17, lengths, 12);
  struct iovec parts[4] = {{head, sizeof head},
                           {(void *)path, lengths[0]},
                           {(void *)other, lengths[1]},
                           {(void *)data, length}};
  ssize_t want = sizeof head + lengths[0] + lengths[1] + length;
  if (syscall(SYS_writev, record, parts, 4) != want) abort();
  errno = kept;
}

/* The absolute path of a name at a directory's descriptor; 0 if it is not below the root. */
static int path_at(int directory, const char *name, char *path) {
  if (record < 0 || !name) return 0;
  if (name[0] == '/') {
    if (strlen(name) >= PATH_MAX) return 0;
    strcpy(path, name);
  } else {
    char link[64];
    if (directory == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0 || length + 1 + strlen(name) >= PATH_MAX) return 0;
    path[length] = '/';
    strcpy(path + length + 1, name);
  }
  return is_below(path);
}

/* Path and inode of a file or directory of ours; 0 for any other. */
static int known(int file, char *path, struct stat *state, int kinds) {
  int kept = errno, found = 0;
  if (record >= 0 && file != record && !fstat(file, state) &&
      (S_ISREG(state->st_mode) || (kinds && S_ISDIR(state->st_mode)))) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length > 0) {
      path[length] = 0;
      found = is_below(path);
    }
  }
  errno = kept;
  return found;
}

static int opened(int directory, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  if (!(flags & (O_CREAT | O_TRUNC)) || !path_at(directory, name, path))
    return syscall(SYS_openat, directory, name, flags, mode);
  hold();
  struct stat state;
  int was_there = !syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
  int file = syscall(SYS_openat, directory, name, flags, mode);
  if (file >= 0 && !fstat(file, &state) && S_ISREG(state.st_mode)) {
    if (!was_there) write_down(MADE, state.st_ino, 0, path, "", "", 0);
    else if (flags & O_TRUNC) write_down(CUT, state.st_ino, 0, path, "", "", 0);
  }
  let_go();
  return file;
}

#define OPEN_WITH_MODE(last)                          \
  mode_t mode = 0;                                    \
  if (flags & (O_CREAT | O_TMPFILE)) {                \
    va_list more;                                     \
    va_start(more, last);                             \
    mode = va_arg(more, mode_t);                      \
    va_end(more);                                     \
  }

int open(const char *name, int flags, ...) {
  OPEN_WITH_MODE(flags)
  return opened(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
  OPEN_WITH_MODE(flags)
  return opened(AT_FDCWD, name, flags | O_LARGEFILE, mode);
}
int openat(int directory, const char *name, int flags, ...) {
  OPEN_WITH_MODE(flags)
  return opened(directory, name, flags, mode);
}
int openat64(int directory, const char *name, int flags, ...) {
  OPEN_WITH_MODE(flags)
  return opened(directory, name, flags | O_LARGEFILE, mode);
}
int creat(const char *name, mode_t mode) {
  return opened(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

/* What was written is read back: whatever way it went, these bytes are in the file. */
static void wrote(int file, const char *path, const struct stat *state, off_t at, size_t length) {
  unsigned char *bytes = malloc(length);
  if (!bytes) abort();
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  int reader = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
  ssize_t got = syscall(SYS_pread64, reader, bytes, length, at);
  syscall(SYS_close, reader);
  if (got != (ssize_t)length) abort();
  write_down(WROTE, state->st_ino, at, path, "", bytes, length);
  free(bytes);
  if (fcntl(file, F_GETFL) & O_DSYNC) write_down(SYNCED, state->st_ino, 0, path, "", "", 0);
}

#define WRITING(file, call, at_known, at)                                     \
  char path[PATH_MAX];                                                        \
  struct stat state;                                                          \
  if (!known(file, path, &state, 0)) return call;                             \
  hold();                                                                     \
  ssize_t done = call;                                                        \
  if (done > 0) {                                                             \
    int kept = errno;                                                         \
    off_t where = (at_known) ? (off_t)(at) : lseek(file, 0, SEEK_CUR) - done; \
    wrote(file, path, &state, where, done);                                   \
    errno = kept;                                                             \
  }                                                                           \
  let_go();                                                                   \
  return done;

ssize_t write(int file, const void *bytes, size_t length) {
  WRITING(file, syscall(SYS_write, file, bytes, length), 0, 0)
}
ssize_t writev(int file, const struct iovec *parts, int count) {
  WRITING(file, syscall(SYS_writev, file, parts, count), 0, 0)
}
ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
  WRITING(file, syscall(SYS_pwrite64, file, bytes, length, at), 1, at)
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
  WRITING(file, syscall(SYS_pwrite64, file, bytes, length, at), 1, at)
}
ssize_t copy_file_range(int from, off64_t *from_at, int file, off64_t *to_at, size_t length,
                        unsigned int flags) {
  off64_t at = to_at ? *to_at : 0;
  WRITING(file, syscall(SYS_copy_file_range, from, from_at, file, to_at, length, flags),
          to_at != NULL, at)
}
ssize_t sendfile64(int file, int from, off64_t *from_at, size_t length) {
  WRITING(file, syscall(SYS_sendfile, file, from, from_at, length), 0, 0)
}
ssize_t sendfile(int file, int from, off_t *from_at, size_t length) {
  return sendfile64(file, from, from_at, length);
}

int ftruncate(int file, off_t length) {
  char path[PATH_MAX];
  struct stat state;
  if (!known(file, path, &state, 0)) return syscall(SYS_ftruncate, file, length);
  hold();
  int failed = syscall(SYS_ftruncate, file, length);
  if (!failed) write_down(CUT, state.st_ino, length, path, "", "", 0);
  let_go();
  return failed;
}
int ftruncate64(int file, off64_t length) { return ftruncate(file, length); }

int fallocate(int file, int mode, off_t at, off_t length) {
  char path[PATH_MAX];
  struct stat state;
  if (!known(file, path, &state, 0)) return syscall(SYS_fallocate, file, mode, at, length);
  hold();
  int failed = syscall(SYS_fallocate, file, mode, at, length);
  if (!failed && !mode && at + length > state.st_size)
    write_down(CUT, state.st_ino, at + length, path, "", "", 0);
  else if (!failed && mode) abort(); /* nobody is known to do this */
  let_go();
  return failed;
}
int fallocate64(int file, int mode, off64_t at, off64_t length) {
  return fallocate(file, mode, at, length);
}
int posix_fallocate(int file, off_t at, off_t length) {
  return fallocate(file, 0, at, length) ? errno : 0;
}
int posix_fallocate64(int file, off64_t at, off64_t length) {
  return posix_fallocate(file, at, length);
}

static int synced(int file, long number) {
  char path[PATH_MAX];
  struct stat state;
  if (!known(file, path, &state, 1)) return syscall(number, file);
  hold();
  int failed = syscall(number, file);
  if (!failed) write_down(SYNCED, state.st_ino, 0, path, "", "", 0);
  let_go();
  return failed;
}
int fsync(int file) { return synced(file, SYS_fsync); }
int fdatasync(int file) { return synced(file, SYS_fdatasync); }

static int renamed(int from_at, const char *from, int to_at, const char *to, unsigned int flags) {
  char old[PATH_MAX], new[PATH_MAX];
  int is_ours = path_at(from_at, from, old) && path_at(to_at, to, new);
  hold();
  int failed = syscall(SYS_renameat2, from_at, from, to_at, to, flags);
  if (!failed && is_ours) write_down(RENAMED, 0, 0, old, new, "", 0);
  let_go();
  return failed;
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_at, const char *from, int to_at, const char *to) {
  return renamed(from_at, from, to_at, to, 0);
}
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned int flags) {
  return renamed(from_at, from, to_at, to, flags);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
  char old[PATH_MAX], new[PATH_MAX];
  int is_ours = path_at(from_at, from, old) && path_at(to_at, to, new);
  hold();
  int failed = syscall(SYS_linkat, from_at, from, to_at, to, flags);
  if (!failed && is_ours) write_down(LINKED, 0, 0, old, new, "", 0);
  let_go();
  return failed;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

static int removed(int directory, const char *name, int flags) {
  char path[PATH_MAX];
  int is_ours = path_at(directory, name, path);
  hold();
  int failed = syscall(SYS_unlinkat, directory, name, flags);
  if (!failed && is_ours) write_down(REMOVED, 0, 0, path, "", "", 0);
  let_go();
  return failed;
}
int unlinkat(int directory, const char *name, int flags) { return removed(directory, name, flags); }
int unlink(const char *name) { return removed(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return removed(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
  if (!unlink(name)) return 0;
  return errno == EISDIR ? rmdir(name) : -1;
}

int mkdirat(int directory, const char *name, mode_t mode) {
  char path[PATH_MAX];
  int is_ours = path_at(directory, name, path);
  hold();
  int failed = syscall(SYS_mkdirat, directory, name, mode);
  struct stat state;
  if (!failed && is_ours && !stat(path, &state))
    write_down(DIR_MADE, state.st_ino, 0, path, "", "", 0);
  let_go();
  return failed;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
