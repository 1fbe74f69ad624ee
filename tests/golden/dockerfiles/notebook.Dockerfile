FROM jupyter/base-notebook:latest
USER root
ENV NB_USER jovyan the second word stays
RUN apt-get update && \

    apt-get install -y git
USER ${NB_UID:-1000}
VOLUME /home/jovyan/work
VOLUME ["/data", "/models"]
WORKDIR work
WORKDIR notebooks
EXPOSE 8888/tcp 6006-6008
CMD start-notebook.sh --NotebookApp.token=''
