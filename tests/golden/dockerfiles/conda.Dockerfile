FROM condaforge/miniforge3:24.3.0-0
COPY ["environment.yml", "pip extra.txt", "/tmp/"]
RUN conda env create -f /tmp/environment.yml \
    && conda clean -afy
SHELL ["conda", "run", "--no-capture-output", "-n", "ml", "/bin/bash", "-c"]
RUN python -c "import torch; print(torch.__version__)"
COPY *.py conf[0-9]/ /app/
ADD --chown=1000:1000 data/*.csv /app/data/
WORKDIR /app
ENTRYPOINT ["conda", "run", "--no-capture-output", "-n", "ml", "python", "train.py"]
