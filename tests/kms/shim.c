// A PKCS#11 module before SoftHSM's, for faults that SoftHSM does not have: one that hangs for as long as a file is there
// (SHIM_HANGS_WHILE), and tokens that make nonces of their own (SHIM_NONCE: "in-place", "after", "sixteen").
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

typedef unsigned long CK_ULONG;
typedef struct { unsigned char version[2]; void *functions[68]; } FunctionList;
typedef struct { unsigned char *iv; CK_ULONG iv_len, iv_bits; unsigned char *aad; CK_ULONG aad_len, tag_bits; } GcmParams;
typedef struct { CK_ULONG mechanism; void *parameter; CK_ULONG parameter_len; } Mechanism;
typedef CK_ULONG (*Init)(CK_ULONG, Mechanism *, CK_ULONG);
typedef CK_ULONG (*Encrypt)(CK_ULONG, unsigned char *, CK_ULONG, unsigned char *, CK_ULONG *);
typedef CK_ULONG (*FindInit)(CK_ULONG, void *, CK_ULONG);

enum { FIND_OBJECTS_INIT = 26, ENCRYPT_INIT = 29, ENCRYPT = 30 };

static FunctionList theirs, ours;
static unsigned char nonce[16], *place;

static const char *mode(void) {
    const char *mode = getenv("SHIM_NONCE");
    return mode ? mode : "";
}

static CK_ULONG nonce_len(void) { return strcmp(mode(), "sixteen") ? 12 : 16; }

static CK_ULONG find_init(CK_ULONG session, void *template, CK_ULONG count) {
    const char *file = getenv("SHIM_HANGS_WHILE");
    while (file && access(file, F_OK) == 0) usleep(10000);
    return ((FindInit)theirs.functions[FIND_OBJECTS_INIT])(session, template, count);
}

static CK_ULONG encrypt_init(CK_ULONG session, Mechanism *mechanism, CK_ULONG key) {
    if (!*mode()) return ((Init)theirs.functions[ENCRYPT_INIT])(session, mechanism, key);
    GcmParams params = *(GcmParams *)mechanism->parameter;
    Mechanism changed = *mechanism;
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce) abort();
    place = params.iv;
    params.iv = nonce;
    params.iv_len = nonce_len();
    params.iv_bits = 8 * nonce_len();
    changed.parameter = &params;
    return ((Init)theirs.functions[ENCRYPT_INIT])(session, &changed, key);
}

static CK_ULONG encrypt(CK_ULONG session, unsigned char *data, CK_ULONG len, unsigned char *out, CK_ULONG *out_len) {
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

CK_ULONG C_GetFunctionList(FunctionList **list) {
    void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW);
    if (!library) return 5;
    CK_ULONG (*get)(FunctionList **) = (CK_ULONG (*)(FunctionList **))dlsym(library, "C_GetFunctionList");
    FunctionList *real;
    if (!get || get(&real)) return 5;
    theirs = ours = *real;
    ours.functions[FIND_OBJECTS_INIT] = (void *)find_init;
    ours.functions[ENCRYPT_INIT] = (void *)encrypt_init;
    ours.functions[ENCRYPT] = (void *)encrypt;
    *list = &ours;
    return 0;
}
