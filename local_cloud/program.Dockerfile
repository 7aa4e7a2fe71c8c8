# A program that this machine has built, in the place of the image that Azure's registry has. Built by local_cloud/images.py.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ARG PROGRAM
COPY ${PROGRAM} /usr/bin/${PROGRAM}
USER 1000
ENV HOME=/tmp
