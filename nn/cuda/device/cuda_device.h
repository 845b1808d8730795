/* What a device is called: "cuda:0". tests/cuda_emulation/cuda_device.h has the emulation's. */
#ifndef EIDETIC_CUDA_DEVICE_H
#define EIDETIC_CUDA_DEVICE_H

#define CUDA_FIRST_DEVICE "0"
#define CUDA_NAME_FORMAT "cuda:%d"
#define CUDA_DEVICE_NAMES                                                                          \
    {                                                                                              \
        "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6", "cuda:7"             \
    }

#endif
