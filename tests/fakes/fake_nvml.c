// A fake libnvidia-ml.so.1, for tests on machines without a GPU. It shows what the text file named
// by FAKE_NVML describes, one line a thing:
//   init CODE                 what nvmlInit_v2 returns (18: version mismatch)
//   driver VERSION            cuda NUMBER (13000 for 13.0)
//   gpu KEY=VALUE ...         one GPU; a key that is not given is "not supported"
// Keys are those of gpu_number() and gpu_text() below; '_' in a text stands for a space.
// nvlink_to=BUS,BUS,...: the far end of each active link, where there is no nvswitch=1; xid=N: it
// reports that XID to those that wait for events, but for the first time that they look.
// processes=PID:BYTES:NAME,... lost=CODE makes its handle fail; gone=CODE all that is asked of it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { most_gpus = 16, line_size = 1024 };
static char gpus[most_gpus][line_size];
static unsigned gpu_count;
static int init_code;
static char driver[80] = "580.65.06";
static int cuda = 13000;

typedef struct {
  char legacy[16];
  unsigned domain, bus, device, id, subsystem;
  char bus_id[32];
} Pci;
typedef struct {
  unsigned pid;
  unsigned long long memory;
  unsigned gpu_instance, compute_instance;
} Process;
typedef struct {
  unsigned long long total, free, used;
} Memory;

typedef struct {
  void* device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
} Event;

enum { success = 0, invalid = 2, not_supported = 3, too_small = 7, timed_out = 10 };

static const char* find(const char* line, const char* key) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, " %s=", key);
  const char* at = strstr(line, wanted);
  return at == NULL ? NULL : at + strlen(wanted);
}

static int gone(const char* line) {
  const char* value = find(line, "gone");
  return value == NULL ? success : atoi(value);
}

static int gpu_number(void* gpu, const char* key, unsigned long long* out) {
  if (gone(gpu) != success) return gone(gpu);
  const char* value = find(gpu, key);
  if (value == NULL) return not_supported;
  *out = strtoull(value, NULL, 0);
  return success;
}

static int gpu_unsigned(void* gpu, const char* key, unsigned* out) {
  unsigned long long value = 0;
  const int result = gpu_number(gpu, key, &value);
  if (result == success) *out = (unsigned)value;
  return result;
}

static void copy_word(const char* value, char* out, size_t size) {
  size_t i = 0;
  for (; i + 1 < size && value[i] != '\0' && strchr(" \n,", value[i]) == NULL; ++i)
    out[i] = value[i] == '_' ? ' ' : value[i];
  out[i] = '\0';
}

static int gpu_text(void* gpu, const char* key, char* out, unsigned size) {
  if (gone(gpu) != success) return gone(gpu);
  const char* value = find(gpu, key);
  if (value == NULL) return not_supported;
  copy_word(value, out, size);
  return success;
}

int nvmlInit_v2(void) {
  const char* path = getenv("FAKE_NVML");
  FILE* file = path == NULL ? NULL : fopen(path, "r");
  if (file == NULL) return 9;
  char line[line_size];
  gpu_count = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "init %d", &init_code) == 1) continue;
    if (sscanf(line, "driver %79s", driver) == 1) continue;
    if (sscanf(line, "cuda %d", &cuda) == 1) continue;
    if (strncmp(line, "gpu ", 4) == 0 && gpu_count < most_gpus) strcpy(gpus[gpu_count++], line + 3);
  }
  fclose(file);
  return init_code;
}

int nvmlShutdown(void) {
  return success;
}

const char* nvmlErrorString(int code) {
  switch (code) {
  case 4:
    return "Insufficient Permissions";
  case 15:
    return "GPU is lost";
  case 18:
    return "Driver/library version mismatch";
  default:
    return "Unknown Error";
  }
}

int nvmlSystemGetDriverVersion(char* out, unsigned size) {
  snprintf(out, size, "%s", driver);
  return success;
}
int nvmlSystemGetCudaDriverVersion_v2(int* out) {
  *out = cuda;
  return success;
}
int nvmlDeviceGetCount_v2(unsigned* out) {
  *out = gpu_count;
  return success;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** out) {
  if (index >= gpu_count) return invalid;
  const char* lost = find(gpus[index], "lost");
  if (lost != NULL) return atoi(lost);
  *out = gpus[index];
  return success;
}
int nvmlDeviceGetName(void* gpu, char* out, unsigned size) {
  return gpu_text(gpu, "model", out, size);
}
int nvmlDeviceGetUUID(void* gpu, char* out, unsigned size) {
  return gpu_text(gpu, "uuid", out, size);
}
int nvmlDeviceGetPciInfo_v3(void* gpu, Pci* out) {
  memset(out, 0, sizeof *out);
  return gpu_unsigned(gpu, "bus", &out->bus);
}
int nvmlDeviceGetCudaComputeCapability(void* gpu, int* major, int* minor) {
  const char* value = find(gpu, "compute");
  return value != NULL && sscanf(value, "%d.%d", major, minor) == 2 ? success : not_supported;
}
int nvmlDeviceGetMemoryInfo(void* gpu, Memory* out) {
  const int result = gpu_number(gpu, "memory", &out->total);
  if (result != success) return result;
  if (gpu_number(gpu, "used", &out->used) != success) out->used = 0;
  out->free = out->total - out->used;
  return success;
}
int nvmlDeviceGetUtilizationRates(void* gpu, unsigned* out) {
  out[1] = 0;
  return gpu_unsigned(gpu, "use", &out[0]);
}
int nvmlDeviceGetTemperature(void* gpu, unsigned sensor, unsigned* out) {
  return sensor != 0 ? invalid : gpu_unsigned(gpu, "temperature", out);
}
int nvmlDeviceGetPowerUsage(void* gpu, unsigned* out) {
  return gpu_unsigned(gpu, "power", out);
}
int nvmlDeviceGetEnforcedPowerLimit(void* gpu, unsigned* out) {
  return gpu_unsigned(gpu, "power_limit", out);
}
int nvmlDeviceGetClockInfo(void* gpu, unsigned type, unsigned* out) {
  return gpu_unsigned(gpu, type == 2 ? "mem" : "sm", out);
}
int nvmlDeviceGetMaxClockInfo(void* gpu, unsigned type, unsigned* out) {
  return gpu_unsigned(gpu, type == 2 ? "mem_max" : "sm_max", out);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void* gpu, unsigned long long* out) {
  return gpu_number(gpu, "throttle", out);
}
int nvmlDeviceGetEccMode(void* gpu, int* now, int* later) {
  unsigned value = 0;
  const int result = gpu_unsigned(gpu, "ecc", &value);
  *now = *later = (int)value;
  return result;
}
int nvmlDeviceGetTotalEccErrors(void* gpu, unsigned type, unsigned span, unsigned long long* out) {
  static const char* const keys[2][2] = {{"corrected", "corrected_life"},
                                         {"uncorrected", "uncorrected_life"}};
  return gpu_number(gpu, keys[type & 1][span & 1], out);
}
int nvmlDeviceGetRetiredPagesPendingStatus(void* gpu, unsigned* out) {
  return gpu_unsigned(gpu, "retire_pending", out);
}
int nvmlDeviceGetRemappedRows(void* gpu, unsigned* corrected, unsigned* uncorrected,
                              unsigned* pending, unsigned* failed) {
  *uncorrected = *pending = *failed = 0;
  const int result = gpu_unsigned(gpu, "remapped", corrected);
  gpu_unsigned(gpu, "remap_pending", pending);
  gpu_unsigned(gpu, "remap_failed", failed);
  return result;
}
int nvmlDeviceGetCurrPcieLinkGeneration(void* gpu, unsigned* out) {
  return gpu_unsigned(gpu, "gen", out);
}
int nvmlDeviceGetMaxPcieLinkGeneration(void* gpu, unsigned* out) {
  return gpu_unsigned(gpu, "gen_max", out);
}
int nvmlDeviceGetCurrPcieLinkWidth(void* gpu, unsigned* out) {
  return gpu_unsigned(gpu, "width", out);
}
int nvmlDeviceGetMaxPcieLinkWidth(void* gpu, unsigned* out) {
  return gpu_unsigned(gpu, "width_max", out);
}
int nvmlDeviceGetNvLinkState(void* gpu, unsigned link, unsigned* out) {
  unsigned links = 0, active = 0;
  if (gpu_unsigned(gpu, "nvlinks", &links) != success || link >= links) return invalid;
  gpu_unsigned(gpu, "nvlinks_active", &active);
  *out = link < active;
  return success;
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(void* gpu, unsigned link, Pci* out) {
  const char* at = find(gpu, "nvlink_to");
  for (; at != NULL && link > 0; --link) {
    at += strcspn(at, ", \n");
    at = *at == ',' ? at + 1 : NULL;
  }
  if (at == NULL) return not_supported;
  memset(out, 0, sizeof *out);
  out->bus = (unsigned)strtoul(at, NULL, 0);
  return success;
}
int nvmlDeviceGetNvLinkRemoteDeviceType(void* gpu, unsigned link, unsigned* out) {
  Pci info;
  *out = find(gpu, "nvswitch") != NULL ? 2 : 0;
  return *out == 2 ? success : nvmlDeviceGetNvLinkRemotePciInfo_v2(gpu, link, &info);
}
int nvmlDeviceGetMigMode(void* gpu, unsigned* now, unsigned* later) {
  const int result = gpu_unsigned(gpu, "mig", now);
  *later = 0;
  return result;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void* gpu, unsigned* count, Process* out) {
  const char* at = find(gpu, "processes");
  const unsigned room = *count;
  unsigned number = 0;
  for (; at != NULL; at = strchr(at, ','), at = at == NULL ? NULL : at + 1, ++number) {
    if (number >= room) continue;
    memset(&out[number], 0, sizeof out[number]);
    sscanf(at, "%u:%llu", &out[number].pid, &out[number].memory);
  }
  *count = number;
  return number > room ? too_small : success;
}
int nvmlSystemGetProcessName(unsigned pid, char* out, unsigned size) {
  char wanted[32];
  snprintf(wanted, sizeof wanted, "%u:", pid);
  for (unsigned i = 0; i < gpu_count; ++i) {
    const char* at = find(gpus[i], "processes");
    at = at == NULL ? NULL : strstr(at, wanted);
    at = at == NULL ? NULL : strchr(at + strlen(wanted), ':');
    if (at == NULL) continue;
    copy_word(at + 1, out, size);
    return success;
  }
  return 6;
}

// One set, of all GPUs: each of them that has an XID reports it once, from the second wait on.
static unsigned waits, reported;
int nvmlEventSetCreate(void** out) {
  waits = reported = 0;
  *out = &waits;
  return success;
}
int nvmlEventSetFree(void* set) {
  (void)set;
  return success;
}
int nvmlDeviceRegisterEvents(void* gpu, unsigned long long types, void* set) {
  (void)set;
  return types == 8 ? gone(gpu) : invalid;
}
int nvmlEventSetWait_v2(void* set, Event* out, unsigned milliseconds) {
  (void)set;
  (void)milliseconds;
  if (waits++ == 0) return timed_out;
  for (; reported < gpu_count; ++reported) {
    if (gpu_number(gpus[reported], "xid", &out->data) != success) continue;
    out->device = gpus[reported++];
    out->type = 8;
    return success;
  }
  return timed_out;
}
