// A PKCS#11 module before SoftHSM's, for faults that SoftHSM does not have: one that hangs for as long as a file is there
// (SHIM_HANGS_WHILE) at a place (SHIM_HANGS_AT: "find", which is meant where none is named, "initialize", "login",
// "encrypt"); tokens that make nonces of their own (SHIM_NONCE: "in-place", "after", "sixteen"); tokens that do not heed
// associated data (SHIM_NO_AAD); and tokens that say that they made no key (SHIM_GENERATE: "refuses", "made"), each of
// whose tries is a byte in a file (SHIM_TRIES).
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

typedef unsigned long CK_ULONG;
typedef struct { unsigned char version[2]; void *functions[68]; } FunctionList;
typedef struct { unsigned char *iv; CK_ULONG iv_len, iv_bits; unsigned char *aad; CK_ULONG aad_len, tag_bits; } GcmParams;
typedef struct { CK_ULONG mechanism; void *parameter; CK_ULONG parameter_len; } Mechanism;
typedef CK_ULONG (*Initialize)(void *);
typedef CK_ULONG (*Login)(CK_ULONG, CK_ULONG, unsigned char *, CK_ULONG);
typedef CK_ULONG (*Init)(CK_ULONG, Mechanism *, CK_ULONG);
typedef CK_ULONG (*Encrypt)(CK_ULONG, unsigned char *, CK_ULONG, unsigned char *, CK_ULONG *);
typedef CK_ULONG (*FindInit)(CK_ULONG, void *, CK_ULONG);
typedef CK_ULONG (*Generate)(CK_ULONG, Mechanism *, void *, CK_ULONG, CK_ULONG *);

enum {
    INITIALIZE = 0,
    LOGIN = 18,
    FIND_OBJECTS_INIT = 26,
    ENCRYPT_INIT = 29,
    ENCRYPT = 30,
    DECRYPT_INIT = 33,
    GENERATE_KEY = 58,
    DEVICE_ERROR = 0x30
};

static FunctionList theirs, ours;
static unsigned char nonce[16], *place;

static const char *set(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static const char *mode(void) { return set("SHIM_NONCE"); }

static CK_ULONG nonce_len(void) { return strcmp(mode(), "sixteen") ? 12 : 16; }

static void hang(const char *here) {
    const char *at = *set("SHIM_HANGS_AT") ? set("SHIM_HANGS_AT") : "find", *file = set("SHIM_HANGS_WHILE");
    while (*file && !strcmp(at, here) && access(file, F_OK) == 0) usleep(10000);
}

static CK_ULONG initialize(void *arguments) {
    hang("initialize");
    return ((Initialize)theirs.functions[INITIALIZE])(arguments);
}

static CK_ULONG login(CK_ULONG session, CK_ULONG user, unsigned char *pin, CK_ULONG len) {
    hang("login");
    return ((Login)theirs.functions[LOGIN])(session, user, pin, len);
}

static CK_ULONG find_init(CK_ULONG session, void *template, CK_ULONG count) {
    hang("find");
    return ((FindInit)theirs.functions[FIND_OBJECTS_INIT])(session, template, count);
}

// The same parameters, changed as the faults want them.
static CK_ULONG init(int function, CK_ULONG session, Mechanism *mechanism, CK_ULONG key, int makes_nonce) {
    GcmParams params = *(GcmParams *)mechanism->parameter;
    Mechanism changed = *mechanism;
    if (*set("SHIM_NO_AAD")) params.aad_len = 0;
    if (makes_nonce) {
        if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce) abort();
        place = params.iv;
        params.iv = nonce;
        params.iv_len = nonce_len();
        params.iv_bits = 8 * nonce_len();
    }
    changed.parameter = &params;
    return ((Init)theirs.functions[function])(session, &changed, key);
}

static CK_ULONG encrypt_init(CK_ULONG session, Mechanism *mechanism, CK_ULONG key) {
    return init(ENCRYPT_INIT, session, mechanism, key, *mode());
}

static CK_ULONG decrypt_init(CK_ULONG session, Mechanism *mechanism, CK_ULONG key) {
    return init(DECRYPT_INIT, session, mechanism, key, 0);
}

static CK_ULONG encrypt(CK_ULONG session, unsigned char *data, CK_ULONG len, unsigned char *out, CK_ULONG *out_len) {
    hang("encrypt");
    CK_ULONG result = ((Encrypt)theirs.functions[ENCRYPT])(session, data, len, out, out_len);
    if (result || !*mode()) return result;
    if (!strcmp(mode(), "in-place")) {
        if (out) memcpy(place, nonce, 12);
    } else {
        if (out) memcpy(out + *out_len, nonce, nonce_len());
        *out_len += nonce_len();
    }
    return 0;
}

static CK_ULONG generate(CK_ULONG session, Mechanism *mechanism, void *template, CK_ULONG count, CK_ULONG *key) {
    const char *how = set("SHIM_GENERATE");
    if (!*how) return ((Generate)theirs.functions[GENERATE_KEY])(session, mechanism, template, count, key);
    int tries = open(set("SHIM_TRIES"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (tries < 0 || write(tries, ".", 1) != 1 || close(tries)) abort();
    if (!strcmp(how, "made")) {
        CK_ULONG result = ((Generate)theirs.functions[GENERATE_KEY])(session, mechanism, template, count, key);
        if (result) abort();
    }
    return DEVICE_ERROR;
}

CK_ULONG C_GetFunctionList(FunctionList **list) {
    void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW);
    if (!library) return 5;
    CK_ULONG (*get)(FunctionList **) = (CK_ULONG (*)(FunctionList **))dlsym(library, "C_GetFunctionList");
    FunctionList *real;
    if (!get || get(&real)) return 5;
    theirs = ours = *real;
    ours.functions[INITIALIZE] = (void *)initialize;
    ours.functions[LOGIN] = (void *)login;
    ours.functions[FIND_OBJECTS_INIT] = (void *)find_init;
    ours.functions[ENCRYPT_INIT] = (void *)encrypt_init;
    ours.functions[ENCRYPT] = (void *)encrypt;
    ours.functions[DECRYPT_INIT] = (void *)decrypt_init;
    ours.functions[GENERATE_KEY] = (void *)generate;
    *list = &ours;
    return 0;
}
