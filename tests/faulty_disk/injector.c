// A faulty disk below one folder, for a process that is started with this library in LD_PRELOAD.
//
// It does not stand before functions of the C library: part of what the program does to its files (rustix) calls the
// system directly and would not be seen. The system itself is asked, by a seccomp filter, to hand each call that
// concerns files back to the process, where `handle` makes it, or has it fail. Only calls from `raw_call` go through
// untouched.
//
// FAULTY_DISK_BELOW    the folder; whatever lies elsewhere, and what is no file, is as good as ever
// FAULTY_DISK_NAMED    where it is set, only files below it in whose name that is are concerned
// FAULTY_DISK_CONTROL  a file of 64 words (64 bits each), shared by all processes that are under it, and changed while
//                      they run: from word 0 on how often each kind of fault comes, in a million calls; from word 24 on
//                      how often each came; from word 48 on how many calls of each sort there were below the folder
// FAULTY_DISK_SEED     a number. Whether a call fails, and how, is told by it, the call's sort, the file's name, and
//                      which such call of this file it is in its process: by no clock, and by no order of threads
//
// After a sync that failed nobody may count on what was written before: with SYNC_LOSES it is gone, as when the system
// took the pages for clean and dropped them. What was appended to a file of the store is zeros then, and a head that
// was written over is the old one. SQLite's files and the playback record, which many write, keep theirs.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

// In the order of the words; `injector.rs` has the same.
enum kind {
    READ_FAILS, READ_INTERRUPTED, READ_SHORT,
    WRITE_FAILS, WRITE_FULL, WRITE_INTERRUPTED, WRITE_SHORT, WRITE_TORN,
    SYNC_FAILS, SYNC_INTERRUPTED, SYNC_LOSES,
    OPEN_FAILS, OPEN_FULL, OPEN_INTERRUPTED,
    NAME_FAILS, NAME_FULL,
    LOOK_FAILS,
    KINDS,
    NONE = KINDS
};
enum sort { READ, WRITE, SYNC, OPEN, NAME, LOOK };
enum { COUNTS = 24, CALLS = 48, WORDS = 64 };

static uint64_t *control, seed;
static const char *named;
static char below[4096];
static size_t below_len;

// The one place whose calls the filter lets through: `raw_call(number, six arguments)`, as `syscall` without errno.
extern long raw_call(long number, ...);
extern const char raw_call_made[];
#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define RESULT(context) (context)->uc_mcontext.gregs[REG_RAX]
static const int argument[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
#define ARGUMENT(context, at) (context)->uc_mcontext.gregs[argument[at]]
asm(".text\n.globl raw_call, raw_call_made\n.hidden raw_call, raw_call_made\nraw_call:\n"
    "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\nmov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\n"
    "syscall\nraw_call_made:\nret\n");
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define RESULT(context) (context)->uc_mcontext.regs[0]
#define ARGUMENT(context, at) (context)->uc_mcontext.regs[at]
asm(".text\n.globl raw_call, raw_call_made\n.hidden raw_call, raw_call_made\nraw_call:\n"
    "mov x8, x0\nmov x0, x1\nmov x1, x2\nmov x2, x3\nmov x3, x4\nmov x4, x5\nmov x5, x6\nsvc #0\nraw_call_made:\nret\n");
#else
#error "how a call is made on this processor is not known here"
#endif

// One number that looks random for each number (splitmix64).
static uint64_t mixed(uint64_t number) {
    number += 0x9E3779B97F4A7C15;
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
    number = (number ^ number >> 27) * 0x94D049BB133111EB;
    return number ^ number >> 31;
}

// The part of a path that lies below the folder; null when it does not, or is not concerned.
static const char *name_below(const char *path) {
    if (!path || strncmp(path, below, below_len) || path[below_len] != '/') return NULL;
    return !named || strstr(path + below_len, named) ? path + below_len : NULL;
}

// The name of an open file, if it lies below the folder. The system is asked each time: it knows of renames.
static const char *name_of(int file, char path[4096]) {
    char link[32] = "/proc/self/fd/", digits[12], *end = digits + sizeof digits;
    unsigned number = file;
    if (file < 0) return NULL;
    *--end = 0;
    do *--end = '0' + number % 10; while (number /= 10);
    strcpy(link + 14, end);
    long len = raw_call(SYS_readlinkat, AT_FDCWD, link, path, 4095L, 0L, 0L);
    if (len <= 0) return NULL;
    path[len] = 0;
    return name_below(path);
}

// What this call of its sort on that file gets, and a number for how much of it.
static enum kind drawn(enum sort sort, const char *name, const enum kind *may, int count, uint64_t *much) {
    static uint32_t calls[1 << 16];
    uint64_t hash = 0xCBF29CE484222325 ^ (uint64_t)sort << 56;
    for (const char *at = name; *at; at++) hash = (hash ^ (unsigned char)*at) * 0x100000001B3;
    uint64_t number = __atomic_fetch_add(&calls[mixed(hash) & 0xFFFF], 1, __ATOMIC_RELAXED);
    uint64_t draw = mixed(mixed(seed ^ hash) + number);
    __atomic_fetch_add(&control[CALLS + sort], 1, __ATOMIC_RELAXED);
    *much = mixed(draw);
    draw %= 1000000;
    for (int at = 0; at < count; at++) {
        uint64_t rate = __atomic_load_n(&control[may[at]], __ATOMIC_RELAXED);
        if (draw < rate) return may[at];
        draw -= rate;
    }
    return NONE;
}

static void came(enum kind kind) { __atomic_fetch_add(&control[COUNTS + kind], 1, __ATOMIC_RELAXED); }

#define DRAWN(sort, name, much, ...) \
    drawn(sort, name, (enum kind[]){__VA_ARGS__}, sizeof((enum kind[]){__VA_ARGS__}) / sizeof(enum kind), much)

// What of the store's files no sync has covered yet: where it was appended, and one head that was written over.
enum { FILES = 1024, HEAD = 512 };
static struct unsynced { uint64_t file; off_t start, end; size_t head_len; unsigned char head[HEAD]; } files[FILES];
static int files_lock;

static void lock(void) { while (__atomic_exchange_n(&files_lock, 1, __ATOMIC_ACQUIRE)) raw_call(SYS_sched_yield); }
static void unlock(void) { __atomic_store_n(&files_lock, 0, __ATOMIC_RELEASE); }

// Its entry, made anew where another file had it (which then loses nothing), or none for files that lose nothing.
static struct unsynced *unsynced(const char *name) {
    if (!strstr(name, ".sealed")) return NULL;
    uint64_t hash = 0xCBF29CE484222325;
    for (const char *at = name; *at; at++) hash = (hash ^ (unsigned char)*at) * 0x100000001B3;
    struct unsynced *entry = &files[mixed(hash) % FILES];
    if (entry->file != hash) *entry = (struct unsynced){.file = hash};
    return entry;
}

static void appended(const char *name, off_t start, long len) {
    lock();
    struct unsynced *entry = unsynced(name);
    if (entry && len > 0) {
        if (entry->end == 0 || start < entry->start) entry->start = start;
        if (start + len > entry->end) entry->end = start + len;
    }
    unlock();
}

// Before a head is written over: what is there.
static void kept_before(const char *name, const char *path, size_t len, off_t at) {
    if (len > HEAD || at != 0 || !strstr(name, ".sealed")) return;
    unsigned char head[HEAD];
    long file = raw_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0L, 0L, 0L);
    if (file < 0) return;
    long had = raw_call(SYS_pread64, file, head, len, 0L, 0L, 0L);
    raw_call(SYS_close, file);
    if (had != (long)len) return;
    lock();
    struct unsynced *entry = unsynced(name);
    if (!entry->head_len) {
        entry->head_len = len;
        memcpy(entry->head, head, len);
    }
    unlock();
}

static void synced(const char *name) {
    lock();
    struct unsynced *entry = unsynced(name);
    if (entry) *entry = (struct unsynced){0};
    unlock();
}

static void lost(const char *name, int file) {
    static const char zeros[4096];
    lock();
    struct unsynced *entry = unsynced(name);
    if (entry) {
        if (entry->head_len) raw_call(SYS_pwrite64, file, entry->head, entry->head_len, 0L, 0L, 0L);
        for (off_t at = entry->start; at < entry->end; at += sizeof zeros) {
            long len = entry->end - at < (off_t)sizeof zeros ? entry->end - at : (off_t)sizeof zeros;
            raw_call(SYS_pwrite64, file, zeros, len, at, 0L, 0L);
        }
        *entry = (struct unsynced){0};
    }
    unlock();
}

static long as_it_is(long number, const long a[6]) { return raw_call(number, a[0], a[1], a[2], a[3], a[4], a[5]); }

// `read`, `pread64` and `preadv2`, whose vector is one piece here wherever it is cut.
static long read_call(long number, long a[6]) {
    char path[4096];
    const char *name = name_of(a[0], path);
    if (!name) return as_it_is(number, a);
    uint64_t much;
    enum kind kind = DRAWN(READ, name, &much, READ_FAILS, READ_INTERRUPTED, READ_SHORT);
    struct iovec one;
    size_t len = a[2];
    if (number == SYS_preadv2) {
        one = *(struct iovec *)a[1];
        len = a[2] == 1 ? one.iov_len : 0;
    }
    if (kind == READ_SHORT && len < 2) kind = NONE;
    if (kind == NONE) return as_it_is(number, a);
    came(kind);
    if (kind == READ_FAILS) return -EIO;
    if (kind == READ_INTERRUPTED) return -EINTR;
    len = 1 + much % (len - 1);
    one.iov_len = len;
    if (number == SYS_preadv2) a[1] = (long)&one;
    else a[2] = len;
    return as_it_is(number, a);
}

// `write`, `pwrite64` and `writev`.
static long write_call(long number, long a[6]) {
    char path[4096];
    const char *name = name_of(a[0], path);
    if (!name) return as_it_is(number, a);
    uint64_t much;
    enum kind kind =
        DRAWN(WRITE, name, &much, WRITE_FAILS, WRITE_FULL, WRITE_INTERRUPTED, WRITE_SHORT, WRITE_TORN);
    off_t at = number == SYS_pwrite64 ? a[3] : raw_call(SYS_lseek, a[0], 0L, SEEK_CUR);
    if (number == SYS_pwrite64) kept_before(name, path, a[2], at);
    struct iovec one;
    size_t len = a[2];
    if (number == SYS_writev) {
        one = *(struct iovec *)a[1];
        len = a[2] > 0 ? one.iov_len : 0;
    }
    if ((kind == WRITE_SHORT || kind == WRITE_TORN) && len < 2) kind = NONE;
    if (kind != NONE) came(kind);
    if (kind == WRITE_FAILS) return -EIO;
    if (kind == WRITE_FULL) return -ENOSPC;
    if (kind == WRITE_INTERRUPTED) return -EINTR;
    if (kind != NONE) {
        len = 1 + much % (len - 1);
        one.iov_len = len;
        if (number == SYS_writev) {
            a[1] = (long)&one;
            a[2] = 1;
        } else {
            a[2] = len;
        }
    }
    long written = as_it_is(number, a);
    if (number == SYS_write) appended(name, at, written);
    return kind == WRITE_TORN && written > 0 ? -EIO : written;
}

static long sync_call(long number, long a[6]) {
    char path[4096];
    const char *name = name_of(a[0], path);
    if (!name) return as_it_is(number, a);
    uint64_t much;
    enum kind kind = DRAWN(SYNC, name, &much, SYNC_FAILS, SYNC_INTERRUPTED, SYNC_LOSES);
    if (kind != NONE) came(kind);
    if (kind == SYNC_LOSES) lost(name, a[0]);
    if (kind == SYNC_INTERRUPTED) return -EINTR;
    if (kind != NONE) return -EIO;
    long done = as_it_is(number, a);
    if (done == 0) synced(name);
    return done;
}

static long open_call(long number, long a[6], const char *path, long flags) {
    const char *name = name_below(path);
    if (!name) return as_it_is(number, a);
    uint64_t much;
    enum kind kind = DRAWN(OPEN, name, &much, OPEN_FAILS, OPEN_FULL, OPEN_INTERRUPTED);
    // What is only opened needs no room.
    if (kind == OPEN_FULL && !(flags & O_CREAT)) kind = NONE;
    if (kind == NONE) return as_it_is(number, a);
    came(kind);
    return kind == OPEN_FULL ? -ENOSPC : kind == OPEN_INTERRUPTED ? -EINTR : -EIO;
}

// Names that are given, changed and taken away, and lengths that are set.
static long name_call(long number, long a[6], const char *name, int needs_room) {
    if (!name) return as_it_is(number, a);
    uint64_t much;
    enum kind kind = DRAWN(NAME, name, &much, NAME_FAILS, NAME_FULL);
    if (kind == NAME_FULL && !needs_room) kind = NONE;
    if (kind == NONE) return as_it_is(number, a);
    came(kind);
    return kind == NAME_FULL ? -ENOSPC : -EIO;
}

static long look_call(long number, long a[6]) {
    char path[4096];
    const char *asked = (const char *)a[1];
    const char *name = asked && *asked ? name_below(asked) : name_of(a[0], path);
    if (!name) return as_it_is(number, a);
    uint64_t much;
    enum kind kind = DRAWN(LOOK, name, &much, LOOK_FAILS);
    if (kind == NONE) return as_it_is(number, a);
    came(kind);
    return -EIO;
}

static long call(long number, long a[6]) {
    char path[4096];
    switch (number) {
    case SYS_read: case SYS_pread64: case SYS_preadv2: return read_call(number, a);
    case SYS_write: case SYS_pwrite64: case SYS_writev: return write_call(number, a);
    case SYS_fsync: case SYS_fdatasync: return sync_call(number, a);
    case SYS_openat: return open_call(number, a, (const char *)a[1], a[2]);
    case SYS_renameat2: case SYS_linkat: return name_call(number, a, name_below((const char *)a[3]), 1);
    case SYS_unlinkat: return name_call(number, a, name_below((const char *)a[1]), 0);
    case SYS_mkdirat: return name_call(number, a, name_below((const char *)a[1]), 1);
    case SYS_ftruncate: return name_call(number, a, name_of(a[0], path), 0);
    case SYS_statx: case SYS_newfstatat: return look_call(number, a);
#ifdef SYS_open
    case SYS_open: return open_call(number, a, (const char *)a[0], a[1]);
    case SYS_rename: case SYS_link: return name_call(number, a, name_below((const char *)a[1]), 1);
    case SYS_unlink: return name_call(number, a, name_below((const char *)a[0]), 0);
    case SYS_mkdir: return name_call(number, a, name_below((const char *)a[0]), 1);
#endif
#ifdef SYS_renameat
    case SYS_renameat: return name_call(number, a, name_below((const char *)a[3]), 1);
#endif
    default: return as_it_is(number, a);
    }
}

static void handle(int signal, siginfo_t *told, void *given) {
    (void)signal;
    ucontext_t *context = given;
    long a[6];
    for (int at = 0; at < 6; at++) a[at] = ARGUMENT(context, at);
    RESULT(context) = call(told->si_syscall, a);
}

static void fail(const char *what) {
    perror(what);
    _exit(125);
}

static void filter(void) {
    static const int handed_back[] = {
        SYS_read, SYS_pread64, SYS_preadv2, SYS_write, SYS_pwrite64, SYS_writev, SYS_fsync, SYS_fdatasync, SYS_openat,
        SYS_renameat2, SYS_linkat, SYS_unlinkat, SYS_mkdirat, SYS_ftruncate, SYS_statx, SYS_newfstatat,
#ifdef SYS_open
        SYS_open, SYS_rename, SYS_link, SYS_unlink, SYS_mkdir,
#endif
#ifdef SYS_renameat
        SYS_renameat,
#endif
    };
    enum { COUNT = sizeof handed_back / sizeof *handed_back };
    struct sock_filter code[COUNT + 10];
    uintptr_t let_through = (uintptr_t)raw_call_made;
    int at = 0;
#define STEP(...) code[at++] = (struct sock_filter)__VA_ARGS__
    STEP(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    STEP(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0, COUNT + 1));
    STEP(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    for (int call = 0; call < COUNT; call++)
        STEP(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, handed_back[call], COUNT - call, 0));
    STEP(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    STEP(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)));
    STEP(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)let_through, 0, 3));
    STEP(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4));
    STEP(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)((uint64_t)let_through >> 32), 0, 1));
    STEP(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    code[at] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {.len = at + 1, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) fail("seccomp");
}

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("FAULTY_DISK_BELOW"), *file = getenv("FAULTY_DISK_CONTROL");
    const char *number = getenv("FAULTY_DISK_SEED");
    if (!folder || !file || !number || strlen(folder) >= sizeof below) fail("FAULTY_DISK_*");
    strcpy(below, folder);
    below_len = strlen(below);
    named = getenv("FAULTY_DISK_NAMED");
    seed = mixed(strtoull(number, NULL, 10));
    int opened = open(file, O_RDWR | O_CLOEXEC);
    if (opened < 0) fail(file);
    control = mmap(NULL, WORDS * sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
    if (control == MAP_FAILED || close(opened)) fail(file);
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSYS, &action, NULL)) fail("SIGSYS");
    filter();
}
