/* The emulation's only device, in the place of nn/cuda/device/cuda_device.h. */
#ifndef EIDETIC_CUDA_DEVICE_H
#define EIDETIC_CUDA_DEVICE_H

#define CUDA_FIRST_DEVICE "emulated"
#define CUDA_NAME_FORMAT "cuda:emulated%.0d" /* the number 0 takes no place */
#define CUDA_DEVICE_NAMES                                                                          \
    {                                                                                              \
        "cuda:emulated"                                                                            \
    }

#endif
