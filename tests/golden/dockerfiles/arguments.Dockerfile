ARG BASE=alpine
ARG TAG=3.20
FROM --platform=$BUILDPLATFORM ${BASE}:${TAG} AS fetch
ARG TARGETARCH
ARG MODEL="resnet 50" DIGEST
RUN wget -O /m "https://example.com/$MODEL-$TARGETARCH?d=$DIGEST"
FROM fetch
ARG TAG
ENV MODEL_NAME=$MODEL TAGGED=${TAG:-none} \
    UNSET=${NOTHING-default} ESCAPED=\$MODEL
COPY --from=0 /m /models/${MODEL}/
LABEL model=$MODEL arch=${TARGETARCH}
