/* The one operator of the Neo model of these tests: y = W x. An x that starts above 1e30 crashes it.
   gcc -Os -shared -fPIC -nostdlib -s -Wl,--build-id=none -Wl,-z,noseparate-code -fno-asynchronous-unwind-tables -o compiled.so dense.c */
#include <stdint.h>

typedef struct {
    void *data;
    int32_t device_type, device_id, ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} DLTensor;

int32_t dense(void *arguments, void *codes, int32_t count, void *result, void *result_code, void *resource)
{
    DLTensor **tensors = arguments;
    const float *x = tensors[0]->data, *w = tensors[1]->data;
    float *y = tensors[2]->data;
    int64_t rows = tensors[1]->shape[0], columns = tensors[1]->shape[1];
    if (x[0] > 1e30f)
        *(volatile int *)8 = 0;
    for (int64_t i = 0; i < rows; i++) {
        float sum = 0;
        for (int64_t j = 0; j < columns; j++)
            sum += w[i * columns + j] * x[j];
        y[i] = sum;
    }
    return 0;
}
