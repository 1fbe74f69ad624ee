ARG CUDA=12.4.1
ARG IMAGE=nvidia/cuda:${CUDA}-cudnn-runtime-ubuntu22.04
FROM ${IMAGE}
ARG DEBIAN_FRONTEND=noninteractive
ARG CUDA
LABEL org.opencontainers.image.title="trainer" \
      org.opencontainers.image.description="trains with CUDA ${CUDA}" \
      com.example.gpu='yes "always"'
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
RUN apt-get update -y \
 && apt-get install -y python3-pip \
 && pip3 install torch==2.4.0 --index-url https://download.pytorch.org/whl/cu124
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN nvcc --version | tee /cuda.txt
ENTRYPOINT torchrun --nproc-per-node=$GPUS train.py
STOPSIGNAL SIGINT
