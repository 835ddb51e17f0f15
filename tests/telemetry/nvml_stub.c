/* A stand-in for NVIDIA's libnvidia-ml.so.1: the real nvidia-ml-py runs over it without a GPU.
 *
 *     gcc -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 nvml_stub.c
 *     NVML_STUB="gpus=2 power=250123 1.power=90000" LD_LIBRARY_PATH=. ...
 *
 * NVML_STUB holds settings `key=number`; `1.key=number` is for GPU 1 alone. A GPU counts in n how
 * often its power was asked for: power is `power + n * power.step`, energy
 * `energy + n * energy.step`. `WHAT.error=CODE` makes a function return CODE; with
 * `WHAT.error.from=N` and `WHAT.error.until=N` it does so only while from <= n < until. WHAT is
 * init, count, open (whose n counts openings), power, fields, instant (that value alone), energy,
 * utilisation, memory, clock, temperature, limit, mig, capability, architecture, name, uuid, index,
 * or all (every function that takes a handle).
 *
 * -DOLD_DRIVER leaves out what drivers before Volta do not export.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6 };
enum { POWER_INSTANT = 186, MAX_GPUS = 16 };
enum { DOUBLE, UNSIGNED_INT, UNSIGNED_LONG, UNSIGNED_LONG_LONG, SIGNED_LONG_LONG, SIGNED_INT,
       UNSIGNED_SHORT };

typedef struct { int index; long long readings, openings; } Gpu, *Device;
typedef struct { unsigned gpu, memory; } Utilisation;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct {
    unsigned field, scope;
    long long timestamp, latency_us;
    unsigned type, result;
    union {
        double d;
        unsigned u;
        unsigned long ul;
        unsigned long long ull;
        long long ll;
        int i;
        unsigned short us;
    } value;
} FieldValue;

static Gpu gpus[MAX_GPUS], parts[MAX_GPUS]; /* parts: a MIG device of each GPU */

/* A GPU's own setting counts before that of all; no copying, as a logger's cost is measured too. */
static long long setting(Device gpu, const char *key, long long otherwise)
{
    size_t length = strlen(key);
    int is_own = 0;
    for (const char *text = getenv("NVML_STUB"); text && *text; text = strchr(text, ' ')) {
        text += strspn(text, " ");
        int owner = -1;
        if (*text >= '0' && *text <= '9') {
            char *end;
            owner = strtol(text, &end, 10);
            text = end + 1;
        }
        int is_meant = owner < 0 ? !is_own : gpu && gpu->index == owner;
        if (is_meant && !strncmp(text, key, length) && text[length] == '=') {
            otherwise = strtoll(text + length + 1, NULL, 10);
            is_own = owner >= 0;
        }
    }
    return otherwise;
}

static int error_now(Device gpu, long long n, const char *code, const char *from, const char *until)
{
    long long result = setting(gpu, code, SUCCESS);
    if (!result || n < setting(gpu, from, 0) || n >= setting(gpu, until, 1LL << 60))
        return SUCCESS;
    return result;
}

#define ERROR_AT(n, gpu, what) \
    error_now(gpu, n, what ".error", what ".error.from", what ".error.until")
#define ERROR(gpu, what) ERROR_AT((gpu)->readings, gpu, what)

static int either(int first, int second) { return first ? first : second; }

#define HANDLE_ERROR(gpu, what) either(ERROR(gpu, "all"), ERROR(gpu, what))
#define NUMBER(gpu, what, key, otherwise, out) \
    (*(out) = setting(gpu, key, otherwise), HANDLE_ERROR(gpu, what))

int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    for (int i = 0; i < MAX_GPUS; i++)
        gpus[i].index = parts[i].index = i;
    return ERROR_AT(0, NULL, "init");
}

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int code)
{
    return code == 22 ? "vGPU, ECC not supported" : "Some Other Error";
}

int nvmlSystemGetDriverVersion(char *text, unsigned length)
{
    snprintf(text, length, "550.54.15");
    return SUCCESS;
}

int nvmlSystemGetNVMLVersion(char *text, unsigned length)
{
    snprintf(text, length, "12.550.54.15");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = setting(NULL, "gpus", 1);
    return ERROR_AT(0, NULL, "count");
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device)
{
    if (index >= setting(NULL, "gpus", 1))
        return INVALID_ARGUMENT;
    *device = &gpus[index];
    return ERROR_AT((*device)->openings++, *device, "open");
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Device *device)
{
    int index;
    char kind[4];
    if (sscanf(uuid, "%3[A-Z]-00000000-0000-0000-0000-%12d", kind, &index) != 2
        || index >= setting(NULL, "gpus", 1))
        return NOT_FOUND;
    *device = strcmp(kind, "MIG") ? &gpus[index] : &parts[index];
    return ERROR_AT((*device)->openings++, *device, "open");
}

int nvmlDeviceGetIndex(Device gpu, unsigned *index)
{
    int is_part = gpu >= parts && gpu < parts + MAX_GPUS;
    *index = is_part ? 0 : gpu->index; /* the index of a part is its place within its GPU */
    return HANDLE_ERROR(gpu, "index");
}

int nvmlDeviceGetName(Device gpu, char *text, unsigned length)
{
    snprintf(text, length, "Stub GPU");
    return HANDLE_ERROR(gpu, "name");
}

int nvmlDeviceGetUUID(Device gpu, char *text, unsigned length)
{
    snprintf(text, length, "GPU-00000000-0000-0000-0000-%012d", gpu->index);
    return HANDLE_ERROR(gpu, "uuid");
}

int nvmlDeviceGetCudaComputeCapability(Device gpu, int *major, int *minor)
{
    long long capability = setting(gpu, "capability", 90);
    *major = capability / 10;
    *minor = capability % 10;
    return HANDLE_ERROR(gpu, "capability");
}

int nvmlDeviceGetPowerUsage(Device gpu, unsigned *milliwatts)
{
    long long n = ++gpu->readings;
    *milliwatts = setting(gpu, "power", 100000) + n * setting(gpu, "power.step", 0);
    return HANDLE_ERROR(gpu, "power");
}

int nvmlDeviceGetUtilizationRates(Device gpu, Utilisation *rates)
{
    rates->gpu = setting(gpu, "utilisation", 0);
    rates->memory = setting(gpu, "utilisation.memory", 0);
    /* As documented: not for a GPU that is divided. */
    return setting(gpu, "mig", 0) ? NOT_SUPPORTED : HANDLE_ERROR(gpu, "utilisation");
}

int nvmlDeviceGetMemoryInfo(Device gpu, Memory *memory)
{
    memory->total = 80ULL << 30;
    memory->used = setting(gpu, "memory", 0);
    memory->free = memory->total - memory->used;
    return HANDLE_ERROR(gpu, "memory");
}

int nvmlDeviceGetClockInfo(Device gpu, unsigned kind, unsigned *mhz)
{
    enum { SM = 1 };
    return kind == SM ? NUMBER(gpu, "clock", "clock", 1980, mhz) : INVALID_ARGUMENT;
}

int nvmlDeviceGetTemperature(Device gpu, unsigned sensor, unsigned *celsius)
{
    return sensor ? INVALID_ARGUMENT : NUMBER(gpu, "temperature", "temperature", 40, celsius);
}

int nvmlDeviceGetPowerManagementLimit(Device gpu, unsigned *milliwatts)
{
    return NUMBER(gpu, "limit", "limit", 650000, milliwatts);
}

int nvmlDeviceGetPowerManagementDefaultLimit(Device gpu, unsigned *milliwatts)
{
    return NUMBER(gpu, "limit", "limit.default", 700000, milliwatts);
}

int nvmlDeviceGetEnforcedPowerLimit(Device gpu, unsigned *milliwatts)
{
    return NUMBER(gpu, "limit", "limit.enforced", 600000, milliwatts);
}

#ifndef OLD_DRIVER

int nvmlDeviceGetArchitecture(Device gpu, unsigned *architecture)
{
    return NUMBER(gpu, "architecture", "architecture", 9, architecture);
}

int nvmlDeviceGetMigMode(Device gpu, unsigned *current, unsigned *pending)
{
    *current = *pending = setting(gpu, "mig", 0);
    return HANDLE_ERROR(gpu, "mig");
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Device part, Device *parent)
{
    *parent = &gpus[part->index];
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(Device gpu, unsigned long long *millijoules)
{
    long long n = gpu->readings;
    *millijoules = setting(gpu, "energy", 0) + n * setting(gpu, "energy.step", 0);
    return HANDLE_ERROR(gpu, "energy");
}

int nvmlDeviceGetFieldValues(Device gpu, int count, FieldValue *values)
{
    for (int i = 0; i < count; i++) {
        long long power = setting(gpu, "instant", 100000);
        values[i].result = values[i].field == POWER_INSTANT ? ERROR(gpu, "instant") : NOT_SUPPORTED;
        values[i].type = setting(gpu, "instant.type", UNSIGNED_INT);
        memset(&values[i].value, 0xff, sizeof values[i].value); /* the wrong member reads wrong */
        switch (values[i].type) {
        case DOUBLE: values[i].value.d = power; break;
        case UNSIGNED_INT: values[i].value.u = power; break;
        case UNSIGNED_LONG: values[i].value.ul = power; break;
        case UNSIGNED_LONG_LONG: values[i].value.ull = power; break;
        case SIGNED_LONG_LONG: values[i].value.ll = power; break;
        case SIGNED_INT: values[i].value.i = power; break;
        case UNSIGNED_SHORT: values[i].value.us = power; break;
        }
    }
    return HANDLE_ERROR(gpu, "fields");
}

#endif
